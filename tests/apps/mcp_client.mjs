// Many sessions of the MCP SDK's own client at once; prints what each saw as JSON.
//   node mcp_client.mjs URL SESSIONS CALLS
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

const [url, sessions, calls] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function callTool(client, name) {
  const result = await client.callTool({ name });
  return result.content[0].text;
}

async function live(index) {
  const client = new Client({ name: `client ${index}`, version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const saw = { id: null, servers: [], counts: [], notifications: [], afterwards: null };
  let heard = () => {};
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    saw.notifications.push(params.data.server);
    heard();
  });
  // Asks again where nothing comes: a notification sent before the client's event stream stands is dropped by the server.
  async function hearOne() {
    const before = saw.notifications.length;
    for (let attempt = 0; attempt < 50 && saw.notifications.length === before; ++attempt) {
      const arrival = new Promise((resolve) => { heard = resolve; });
      await callTool(client, 'announce');
      await Promise.race([arrival, sleep(200)]);
    }
  }
  await client.connect(transport);
  saw.id = transport.sessionId;
  for (let call = 0; call < calls; ++call) {
    const { server, calls: count } = JSON.parse(await callTool(client, 'count'));
    saw.servers.push(server);
    saw.counts.push(count);
    if (call === 0 || call === calls - 1) await hearOne();
  }
  await transport.terminateSession();
  // The id is unknown now, wherever it leads.
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'Mcp-Session-Id': saw.id },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'count', arguments: {} } }),
  });
  saw.afterwards = answer.status;
  await answer.text();
  await client.close();
  return saw;
}

console.log(JSON.stringify(await Promise.all(Array.from({ length: sessions }, (_, index) => live(index)))));
