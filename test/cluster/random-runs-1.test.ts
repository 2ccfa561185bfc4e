import { defineRuns } from "./random-runs/define-runs.js";

defineRuns(1, 150);
