// Users of socket.io's own client, each of whom does what a line on standard input says, and answers with a line of JSON.
//   node socket_users.mjs URL OPTIONS      lines: {"user": NUMBER, "does": "begin" | "call" | "end"}; OPTIONS: the client's, as JSON
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { io } from 'socket.io-client';

const [url, options] = [process.argv[2], JSON.parse(process.argv[3])];
const sockets = new Map();

// Over a connection of now: one that breaks meanwhile is made anew by the client, and asked then.
async function call(user) {
  const socket = sockets.get(user);
  for (;;) {
    if (!socket.connected) await new Promise((resolve) => { socket.once('connect', resolve); });
    const answer = await Promise.race([
      new Promise((resolve) => { socket.emit('count', resolve); }),
      new Promise((resolve) => { socket.once('disconnect', () => resolve(null)); }),
    ]);
    socket.removeAllListeners('disconnect');
    if (answer) return { ...answer, transport: socket.io.engine.transport.name, refusals: socket.refusals };
  }
}

const deeds = {
  async begin(user) {
    // A proxy in front says who they are.
    const socket = io(url, { forceNew: true, extraHeaders: { 'X-Forwarded-For': `10.0.0.${user + 1}` }, ...options });
    sockets.set(user, Object.assign(socket, { refusals: 0 }));
    socket.io.on('error', () => { socket.refusals += 1; });
    const answer = await call(user);
    const upgrades = options.transports?.includes('websocket') ?? true;
    if (upgrades && socket.io.engine.transport.name !== 'websocket') await once(socket.io.engine, 'upgrade');
    return { ...answer, transport: socket.io.engine.transport.name };
  },
  call,
  async end(user) {
    sockets.get(user).disconnect();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { user, does } = JSON.parse(line);
  console.log(JSON.stringify(await deeds[does](user).catch((error) => ({ failed: String(error) }))));
}
process.exit(0);
