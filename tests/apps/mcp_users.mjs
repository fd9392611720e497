// Users of the MCP SDK's own client, each of whom does what a line on standard input says, and answers with a line of JSON.
//   node mcp_users.mjs URL      lines: {"user": NUMBER, "does": "begin" | "call" | "end"}
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const url = new URL(process.argv[2]);
const sessions = new Map();  // user: client and transport

async function call(user) {
  const { client } = sessions.get(user);
  try {
    return JSON.parse((await client.callTool({ name: 'count' })).content[0].text);
  } catch (error) {
    if (error.code !== 404) throw error;
    await client.close();
    return { gone: true, said: error.message };
  }
}

const deeds = {
  async begin(user) {
    const client = new Client({ name: `user ${user}`, version: '1.0.0' });
    // A proxy in front says who they are.
    const headers = { 'X-Forwarded-For': `10.0.0.${user + 1}` };
    const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
    await client.connect(transport);
    sessions.set(user, { client, transport });
    return call(user);
  },
  call,
  async end(user) {
    const { client, transport } = sessions.get(user);
    await transport.terminateSession();
    await client.close();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { user, does } = JSON.parse(line);
  const answer = await deeds[does](user).catch((error) => ({ failed: String(error) }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
