import { XMLRPC_VERSION } from "../../../shared/states.js";
import { encodeCall } from "../../../shared/xmlrpc/encode-call.js";
import type { HostileRequest, Piece } from "../../xmlrpc/hostile-request.js";

const KILO = 1024;
const NEARLY_A_MEGABYTE = 1_000 * KILO;

const document = (params: string): string =>
  `<methodCall><methodName>listLogicalVolumes</methodName><params>${params}</params></methodCall>`;
const struct = (members: string): string =>
  document(`<param><value><struct>${members}</struct></value></param>`);
const member = (name: string, xml: string): string =>
  `<member><name>${name}</name><value>${xml}</value></member>`;
const VER = member("ver", `<int>${XMLRPC_VERSION}</int>`);

/** A list call with a member that nobody knows, which holds one thing again and again, to nearly a megabyte. */
function bulk(open: string, piece: string, close: string): Piece[] {
  const [head = "", tail = ""] = struct(`${VER}${member("bulk", "@")}`).split("@");
  return [head, open, { repeat: piece, times: Math.floor(NEARLY_A_MEGABYTE / piece.length) }, close, tail];
}

const row = (name: string, outcome: string, ...body: Piece[]): HostileRequest => ({
  name,
  body,
  expect: outcome,
});

/** Structs and parameters that are not what a method takes. */
const shapes: readonly HostileRequest[] = [
  row(
    "no parameters at all",
    "fault 22",
    "<methodCall><methodName>listLogicalVolumes</methodName></methodCall>",
  ),
  row("an empty list of parameters", "fault 22", document("")),
  row("an empty struct", "fault 71", struct("")),
  row("two structs", "fault 22", document(`<param><value><struct>${VER}</struct></value></param>`.repeat(2))),
  row("a struct and an int", "fault 22", encodeCall("listLogicalVolumes", [{ ver: 5 }, 1])),
  row("the struct in an array", "fault 22", encodeCall("listLogicalVolumes", [[{ ver: 5 }]])),
  ...[5, "5", true, 1.5, new Date(0), Buffer.from("5")].map((param) =>
    row(
      `${typeof param} ${String(param)} instead of a struct`,
      "fault 22",
      encodeCall("checkState", [param]),
    ),
  ),
  row("ver twice", "fault 1", struct(VER + VER)),
  row(
    "a member twice, the second one of another type",
    "fault 1",
    struct(`${VER}${member("a", "")}${member("a", "<int>1</int>")}`),
  ),
  row("__proto__ twice", "fault 1", struct(`${VER}${member("__proto__", "").repeat(2)}`)),
  row("ver only within __proto__", "fault 71", struct(member("__proto__", `<struct>${VER}</struct>`))),
  row(
    "ver only within constructor.prototype",
    "fault 71",
    struct(member("constructor", `<struct>${member("prototype", `<struct>${VER}</struct>`)}</struct>`)),
  ),
  row("ver with a blank", "fault 71", struct(member(" ver", "<int>5</int>"))),
  row("VER", "fault 71", struct(member("VER", "<int>5</int>"))),
  row(
    "__proto__ as a member",
    "answer",
    struct(`${VER}${member("__proto__", `<struct>${member("lvolid", "<int>77</int>")}</struct>`)}`),
  ),
  row(
    "members named like everything an object has",
    "answer",
    struct(
      VER +
        ["constructor", "toString", "valueOf", "hasOwnProperty", "then", "toJSON"]
          .map((name) => member(name, "<struct/>"))
          .join(""),
    ),
  ),
  row(
    "lvolid only in the prototype that is not one",
    "answer",
    struct(`${VER}${member("__proto__", `<struct>${member("lvolname", "<int>5</int>")}</struct>`)}`),
  ),
  row("an unknown member", "answer", struct(`${VER}${member("unknown", "<int>5</int>")}`)),
  row("a member without a name", "answer", struct(`${VER}${member("", "<int>5</int>")}`)),
  row("ver as i8", "answer", struct(member("ver", "<i8>5</i8>"))),
  row("ver as a whole double", "answer", struct(member("ver", "<double>5.0</double>"))),
  row("ver with blanks and a sign", "answer", struct(member("ver", "<int> +5\n</int>"))),
  row(
    "64 levels in an unknown member",
    "answer",
    struct(
      `${VER}${member("deep", "<array><data><value>".repeat(63) + "</value></data></array>".repeat(63))}`,
    ),
  ),
  row(
    "65 levels in an unknown member",
    "fault 1",
    struct(
      `${VER}${member("deep", "<array><data><value>".repeat(64) + "</value></data></array>".repeat(64))}`,
    ),
  ),
];

/** Names of methods that are none. */
const methods: readonly HostileRequest[] = [
  "__proto__",
  "constructor",
  "toString",
  "then",
  "LISTLOGICALVOLUMES",
  "listLogicalVolumes()",
  "list LogicalVolumes",
  "manager.listLogicalVolumes",
  "helloWorld",
  "grantExtents",
  "' OR 1=1 --",
  "&lt;script&gt;",
  "größe",
  "5",
].map((name) =>
  row(
    `the method ${name}`,
    "fault 1",
    `<methodCall><methodName>${name}</methodName><params><param><value><struct>${VER}</struct></value></param></params></methodCall>`,
  ),
);

/** As much of one thing as a body can hold. */
const bulks: readonly HostileRequest[] = [
  row("a megabyte of text", "answer", ...bulk("", "x", "")),
  row("a megabyte of entities", "answer", ...bulk("", "&amp;", "")),
  row("a megabyte of references", "answer", ...bulk("", "&#65;", "")),
  row("a megabyte of carriage returns", "answer", ...bulk("", "\r", "")),
  row("a megabyte of CDATA sections", "answer", ...bulk("", "<![CDATA[]]>", "")),
  row("a megabyte of comments", "answer", ...bulk("", "x<!---->", "")),
  row("a megabyte of instructions", "answer", ...bulk("", "x<?a?>", "")),
  row(
    "a megabyte of ints",
    "answer",
    ...bulk("<array><data>", "<value><int>1</int></value>", "</data></array>"),
  ),
  row("a megabyte of empty strings", "answer", ...bulk("<array><data>", "<value/>", "</data></array>")),
  row(
    "a megabyte of empty structs",
    "answer",
    ...bulk("<array><data>", "<value><struct/></value>", "</data></array>"),
  ),
  row("a megabyte of base64", "answer", ...bulk("<base64>", "AAAA", "</base64>")),
  row("a megabyte of blanks in base64", "answer", ...bulk("<base64>", " ", "</base64>")),
  row("an int of a megabyte", "fault 1", ...bulk("<int>", "1", "</int>")),
  row("a double of a megabyte", "fault 1", ...bulk("<double>", "1", "e</double>")),
  row("a date of a megabyte", "fault 1", ...bulk("<dateTime.iso8601>", "1", "</dateTime.iso8601>")),
  row("a megabyte of one member", "fault 1", ...bulk("<struct>", member("a", ""), "</struct>")),
  row("a megabyte of attributes", "fault 1", "<methodCall ", { repeat: 'a="" ', times: 200_000 }, ">"),
  row(
    "an attribute of half a megabyte, twice",
    "fault 1",
    "<methodCall ",
    { repeat: "a", times: 400_000 },
    '="" ',
    { repeat: "a", times: 400_000 },
    '="">',
  ),
  row(
    "a document type of a megabyte",
    "fault 1",
    "<!DOCTYPE m [",
    { repeat: '<!ENTITY a "b">', times: 66_000 },
    "]>",
  ),
  row("an element's name of a megabyte", "fault 1", "<", { repeat: "a", times: NEARLY_A_MEGABYTE }, "/>"),
  row(
    "a megabyte of elements that are not closed",
    "fault 1",
    ...bulk("<array><data><value>", "<array><data><value>", ""),
  ),
  row(
    "a method name of a megabyte",
    "fault 1",
    "<methodCall><methodName>",
    { repeat: "x", times: NEARLY_A_MEGABYTE },
    "</methodName></methodCall>",
  ),
  row(
    "a new volume's name of a megabyte",
    "fault 22",
    encodeCall("createLogicalVolume", [{ ver: 5, lvolname: "x".repeat(NEARLY_A_MEGABYTE), capacity: 1 }]),
  ),
  row(
    "a volume's name of a megabyte",
    "fault 2",
    encodeCall("showLogicalVolume", [{ ver: 5, lvolname: "x".repeat(NEARLY_A_MEGABYTE) }]),
  ),
  row(
    "20,000 blocks that are none",
    "fault 22",
    encodeCall("notifyBadBlocks", [{ ver: 5, pdskid: 1, blocks: Array(20_000).fill("x") }]),
  ),
  row(
    "a capacity of a million digits",
    "fault 22",
    encodeCall("registerPhysicalDisk", [{ ver: 5, ssvrid: 1, local_path: "/x", capacity: "9".repeat(1e6) }]),
  ),
  row(
    "50,000 addresses",
    "fault 22",
    encodeCall("registerHeadServer", [{ ver: 5, ip_data: Array(20_000).fill("::1") }]),
  ),
  row("one byte more than a megabyte", "413", { repeat: "x", times: KILO * KILO + 1 }),
  row("exactly a megabyte, of blanks", "fault 1", { repeat: " ", times: KILO * KILO }),
];

/** Documents that are XML-RPC, or nearly so, and not what the manager takes. */
export const wrongDocuments: readonly HostileRequest[] = [...shapes, ...methods, ...bulks];
