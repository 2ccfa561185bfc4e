// Adds up what vitest's JSON reports say and prints `N passed, N failed`. Exits with 1 if anything failed.
//
// A report that is missing, or a test file that could not even be loaded, counts as one failure.
import { existsSync, readFileSync } from "node:fs";

let passed = 0;
let failed = 0;
for (const path of process.argv.slice(2)) {
  if (!existsSync(path)) {
    console.log(`${path}: there is no report; the tests did not run to their end`);
    failed += 1;
    continue;
  }
  const report = JSON.parse(readFileSync(path, "utf8"));
  const unloaded = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  for (const file of unloaded) console.log(`${file.name}: could not be loaded`);
  passed += report.numPassedTests;
  failed += report.numFailedTests + unloaded.length;
  if (report.numTotalTests === 0) failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
