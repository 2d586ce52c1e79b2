// The TypeScript SDK, version 1. Argument and output as of the others.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const target = JSON.parse(process.argv[2]);
const transport = target.command
  ? new StdioClientTransport({ command: target.command[0], args: target.command.slice(1) })
  : new StreamableHTTPClientTransport(new URL(target.url), {
      requestInit: { headers: { Authorization: `Bearer ${target.token}` } },
    });
const client = new Client({ name: "typescript-v1", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const found = await client.callTool({ name: "web_search", arguments: { query: target.query } });
const page = await client.callTool({ name: "web_visit", arguments: { url: target.page } });
await client.close();
console.log(JSON.stringify({
  tools: tools.map((tool) => tool.name),
  search: found.content[0].text,
  visit: page.content[0].text,
}));
