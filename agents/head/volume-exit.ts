/** Exit codes of volume processes: what the control process learns when it was not listening. */
export const ExitCode = { DETACHED: 0, FAILED: 1, FENCED: 3 } as const;
