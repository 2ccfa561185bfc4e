import { defineRuns } from "./random-runs/define-runs.js";

defineRuns(151, 150);
