/** What a check of this host came to. A hint is about other programs that may get in the way, and does not count as wrong. */
export interface Finding {
  readonly verdict: "ok" | "hint" | "wrong";
  /** What was looked at: `module raid1`. */
  readonly what: string;
  /** What is wrong and what to do about it, in a sentence; empty if it is ok and there is nothing to say. */
  readonly about: string;
}

export const ok = (what: string, about = ""): Finding => ({ verdict: "ok", what, about });
export const wrong = (what: string, about: string): Finding => ({ verdict: "wrong", what, about });
export const hint = (what: string, about: string): Finding => ({ verdict: "hint", what, about });
