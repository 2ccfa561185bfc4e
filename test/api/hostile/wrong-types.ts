import type { ManagerMethodName } from "../../../shared/methods/manager-methods.js";
import { encodeCall } from "../../../shared/xmlrpc/encode-call.js";
import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import type { HostileRequest } from "../../xmlrpc/hostile-request.js";
import type { Known } from "./known.js";
import { goodCalls, type Kind, memberKinds } from "./member-kinds.js";

/** Values as they travel, within `<value>`. */
const INT = "<int>1</int>";
const STRING = "<string>x</string>";
const UNTYPED = "1";
const BOOLEAN = "<boolean>1</boolean>";
const DOUBLE = "<double>1.5</double>";
const DATE = "<dateTime.iso8601>20240229T00:00:00</dateTime.iso8601>";
const BYTES = "<base64>MQ==</base64>";
const ARRAY = "<array><data><value><int>1</int></value></data></array>";
const STRUCT = "<struct><member><name>valueOf</name><value><int>1</int></value></member></struct>";
const EMPTY_STRUCT = "<struct/>";

/** Well-formed values of another type than the one that is wanted: EINVAL. */
const wrongTypes: Readonly<Record<Kind, readonly string[]>> = {
  int: [STRING, UNTYPED, BOOLEAN, DOUBLE, "<double>1e300</double>", DATE, BYTES, ARRAY, STRUCT, EMPTY_STRUCT],
  string: [INT, BOOLEAN, DOUBLE, DATE, BYTES, ARRAY, STRUCT, EMPTY_STRUCT],
  boolean: [INT, STRING, UNTYPED, DOUBLE, DATE, BYTES, ARRAY, STRUCT],
  array: [
    INT,
    STRING,
    BOOLEAN,
    DATE,
    BYTES,
    STRUCT,
    EMPTY_STRUCT,
    `<array><data><value>${DATE}</value></data></array>`,
  ],
};

/** What is no value of its own type. This is found before the method is looked at, so one method with all kinds will do. */
const MALFORMED_FOR: ManagerMethodName = "registerHeadServer";
const malformed: Readonly<Record<Kind, readonly string[]>> = {
  int: [
    "<nil/>",
    "<int/>",
    "<int>0x1</int>",
    "<int>1e3</int>",
    "<int>2147483648</int>",
    "<i4>-2147483649</i4>",
    "<i8>9007199254740992</i8>",
    "<double>NaN</double>",
    "<double>inf</double>",
    "<double>-Infinity</double>",
    "<i1>1</i1>",
    "<int>1</int><int>1</int>",
  ],
  string: [
    "<nil/>",
    "<string>&nil;</string>",
    "<string>\0</string>",
    "<text>x</text>",
    "<string><b/></string>",
  ],
  boolean: ["<nil/>", "<boolean>true</boolean>", "<boolean>2</boolean>", "<boolean/>"],
  array: ["<nil/>", "<array/>", "<array><value/></array>", "<array><data/><data/></array>"],
};

/** Of the right type, and beyond every limit; what is answered depends on the method. */
const extreme: Readonly<Record<Kind, readonly string[]>> = {
  int: [
    "<int>-1</int>",
    "<int>-2147483648</int>",
    "<i8>2147483648</i8>",
    "<i8>9007199254740991</i8>",
    "<i8>-9007199254740991</i8>",
    "<double>-0.0</double>",
    "<double>4294967297.0</double>",
  ],
  string: [
    "<string/>",
    "<string>'; DROP TABLE volume; --</string>",
    '<string>"\\%s%n{}[]</string>',
    "<string>a\tb\nc&#13;</string>",
    "<string>../../etc/passwd</string>",
    "<string>__proto__[0]</string>",
    "<string>\u202e\u0000</string>".replace("\u0000", "\u0085"),
    "<string>😀 größe</string>",
  ],
  boolean: [],
  array: [],
};

const versions = [
  "<int>4</int>",
  "<int>6</int>",
  "<int>-5</int>",
  "<i8>4294967301</i8>",
  "<double>5.5</double>",
  "<string>5</string>",
  "5",
  BOOLEAN,
  DATE,
  "<base64>NQ==</base64>",
  "<array><data><value><int>5</int></value></data></array>",
  "<struct><member><name>ver</name><value><int>5</int></value></member></struct>",
];

const PLACE = "@place@";

/** The call with one member replaced by XML. */
function spoiled(method: string, members: XmlRpcStruct, member: string, xml: string): string {
  const call = encodeCall(method, [{ ver: 5, ...members, [member]: PLACE }]);
  // Not as a pattern: a hostile value may hold what a replacement gives a meaning.
  return call.split(`<string>${PLACE}</string>`).join(xml);
}

type Made = (values: readonly string[], outcome: string) => HostileRequest[];

function rowsOfMember(method: ManagerMethodName, member: string, kind: Kind, known: Known): HostileRequest[] {
  const good = goodCalls(known)[method];
  const rows: Made = (values, outcome) =>
    values.map((xml) => ({
      name: `${method} with ${xml} as ${member}`,
      body: [spoiled(method, good ?? {}, member, xml)],
      expect: outcome,
    }));
  // Without a good call it is not known that the values that are of the right type would change nothing.
  const extremes = good === undefined ? [] : rows(extreme[kind], "harmless");
  const broken = method === MALFORMED_FOR ? rows(malformed[kind], "fault 1") : [];
  return [...rows(wrongTypes[kind], "fault 22"), ...broken, ...extremes];
}

function rowsOfVersion(method: ManagerMethodName): HostileRequest[] {
  return versions.map((xml) => ({
    name: `${method} with ${xml} as ver`,
    body: [spoiled(method, {}, "ver", xml)],
    expect: "fault 71",
  }));
}

/** Every method with each of its members in every wrong form. */
export function wrongTypeRows(known: Known): HostileRequest[] {
  return Object.entries(memberKinds).flatMap(([name, kinds]) => {
    const method = name as ManagerMethodName;
    const rows = Object.entries(kinds).flatMap(([member, kind]) => rowsOfMember(method, member, kind, known));
    return [...rowsOfVersion(method), ...rows];
  });
}
