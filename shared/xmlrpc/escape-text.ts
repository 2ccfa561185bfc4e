/** What cannot stand in XML 1.0 text as it is. `\p{Cs}` meets only surrogates that have lost their other half. */
const SPECIAL = /[&<>\p{Cc}\p{Cs}\uFFFE\uFFFF]/u;
const EACH_SPECIAL = new RegExp(SPECIAL, "gu");

const FIRST_CARRIED_CONTROL = 0x7f;
const LAST_CARRIED_CONTROL = 0x9f;

/**
 * Makes a string fit to stand between two tags.
 *
 * A character that XML 1.0 cannot carry becomes U+FFFD. Refusing it would let one odd disk path or error text make a
 * whole list unanswerable, and a fault must be sendable whatever its text holds.
 */
export function escapeText(text: string): string {
  return SPECIAL.test(text) ? text.replace(EACH_SPECIAL, escapeCharacter) : text;
}

function escapeCharacter(character: string): string {
  switch (character) {
    case "&":
      return "&amp;";
    case "<":
      return "&lt;";
    case ">":
      return "&gt;";
    case "\t":
    case "\n":
      return character;
    case "\r":
      // As a reference: XML turns a bare carriage return into a line feed.
      return "&#13;";
    default:
      return isCarriedByXml(character.charCodeAt(0)) ? character : "\uFFFD";
  }
}

function isCarriedByXml(code: number): boolean {
  return code >= FIRST_CARRIED_CONTROL && code <= LAST_CARRIED_CONTROL;
}
