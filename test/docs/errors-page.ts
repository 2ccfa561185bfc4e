import { errorRegistry, INTERNAL_ERROR_CODE, REQUEST_ERROR_CODE } from "../../shared/errors.js";

/** The text of docs/errors.md. */
export function renderErrors(): string {
  const entries = Object.entries(errorRegistry).sort(([, a], [, b]) => a.code - b.code);
  return [
    "# Errors",
    "",
    "Generated from `shared/errors.ts`; `VAS_WRITE_DOCS=1 npx vitest run --config test/vitest.config.ts test/docs` writes it anew.",
    "",
    "A fault carries the code, and `NAME: sentence` as its text. *May pass* means that the same call may succeed later without",
    "anything else being done about it.",
    "",
    "| name | code | what it means | may pass |",
    "|---|---|---|---|",
    ...entries.map(
      ([name, { code, meaning, retryable }]) =>
        `| \`${name}\` | ${code} | ${meaning} | ${retryable ? "yes" : ""} |`,
    ),
    "",
    "Two codes are no errno:",
    "",
    "| code | what it means |",
    "|---|---|",
    `| ${REQUEST_ERROR_CODE} | the request is no valid XML-RPC, or its method is not known |`,
    `| ${INTERNAL_ERROR_CODE} | a defect of the manager; its log has the cause |`,
    "",
  ].join("\n");
}
