// A tool server: lists and searches the notes in a directory that it may read.

import { getDirectories } from "wasi:filesystem/preopens@0.2.0";

// Where the grant mounts the notes.
const MOUNT = "/notes";
// As many hits as a model reads with profit.
const MOST_HITS = 50;

const nothing = { type: "object", properties: {}, additionalProperties: false };
const query = {
  type: "object",
  properties: { query: { type: "string", description: "Words to look for, in any case" } },
  required: ["query"],
  additionalProperties: false,
};

export const tools = {
  listTools() {
    return [
      tool("search", "Finds lines in the project's notes that hold all words of a query", query),
      tool("list", "Lists the project's notes", nothing),
    ];
  },

  callTool({ name, argumentsJson }) {
    switch (name) {
      case "search":
        return text(search(JSON.parse(argumentsJson).query));
      case "list":
        return text(names().join("\n"));
      default:
        throw { tag: "invalid", val: `there is no tool \`${name}\`` };
    }
  },

  listResources: () => [],
  readResource: (uri) => {
    throw { tag: "invalid", val: `there is no resource \`${uri}\`` };
  },
  listPrompts: () => [],
  getPrompt: (name) => {
    throw { tag: "invalid", val: `there is no prompt \`${name}\`` };
  },
};

function tool(name, description, inputSchema) {
  return {
    name,
    title: undefined,
    description,
    inputSchemaJson: JSON.stringify(inputSchema),
    outputSchemaJson: undefined,
    parallelSafe: true,
    readOnly: true,
  };
}

function text(val) {
  return { content: [{ tag: "text", val }], structuredJson: undefined, isError: false };
}

// The directory of the notes, as the host hands it over.
function notes() {
  const mount = getDirectories().find(([, path]) => path === MOUNT);
  if (!mount) {
    throw { tag: "unavailable", val: "the notes cannot be listed; is `notes` there?" };
  }
  return mount[0];
}

function names(directory = notes()) {
  const entries = directory.readDirectory();
  const found = [];
  for (let entry; (entry = entries.readDirectoryEntry()); ) {
    if (entry.type === "regular-file" && /\.(md|txt)$/.test(entry.name)) {
      found.push(entry.name);
    }
  }
  return found.sort();
}

function read(directory, name) {
  const file = directory.openAt({}, name, {}, { read: true });
  const chunks = [];
  for (let offset = 0, end = false; !end; ) {
    const [bytes, last] = file.read(65536, offset);
    chunks.push(...bytes);
    offset += bytes.length;
    end = last;
  }
  return decoded(chunks);
}

// The engine has no TextDecoder. What is no UTF-8 is read byte by byte.
function decoded(bytes) {
  try {
    return decodeURIComponent(bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""));
  } catch {
    return bytes.map((byte) => String.fromCharCode(byte)).join("");
  }
}

function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    throw { tag: "invalid", val: "the query is empty" };
  }
  const directory = notes();
  const hits = [];
  for (const name of names(directory)) {
    read(directory, name).split(/\r?\n/).forEach((line, index) => {
      const lower = line.toLowerCase();
      if (words.every((word) => lower.includes(word))) {
        hits.push(`${name}:${index + 1}: ${line.trim()}`);
      }
    });
  }
  return hits.length ? hits.slice(0, MOST_HITS).join("\n") : `no note mentions \`${query}\``;
}
