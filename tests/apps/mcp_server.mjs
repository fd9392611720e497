// An MCP server over streamable HTTP whose sessions live in its own memory: each counts its own calls.
//   node mcp_server.mjs NAME PORT
import { randomUUID } from 'node:crypto';
import express from 'express';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

const [name, port] = process.argv.slice(2);
const transports = new Map();  // session id: its transport

function openSession() {
  const server = new McpServer({ name, version: '1.0.0' }, { capabilities: { logging: {} } });
  let calls = 0;
  server.registerTool('count', { description: 'How often this session called' }, async () => {
    calls += 1;
    return { content: [{ type: 'text', text: JSON.stringify({ server: name, calls }) }] };
  });
  // Announced on the session's own event stream, which is another request than the call that asks for it.
  server.registerTool('announce', { description: 'Sends a notification' }, async () => {
    await server.server.sendLoggingMessage({ level: 'info', data: { server: name } });
    return { content: [{ type: 'text', text: 'announced' }] };
  });
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => transports.set(id, transport),
    onsessionclosed: (id) => transports.delete(id),
  });
  return server.connect(transport).then(() => transport);
}

const app = express();
app.use(express.json());
app.all('/mcp', async (request, response) => {
  const id = request.get('Mcp-Session-Id');
  const transport = id ? transports.get(id) : await openSession();
  if (transport) return transport.handleRequest(request, response, request.body);
  response.status(404).json({ jsonrpc: '2.0', error: { code: -32001, message: `Session not found by ${name}` }, id: null });
});
app.get('/server', (request, response) => response.json({ server: name }));
app.get('/healthz', (request, response) => response.send('ok'));

app.listen(Number(port), '127.0.0.1', 1024);
