// A socket.io server as its tutorial begins one: what it knows of a client ends with the connection.
//   node socket_server.mjs NAME PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const [name, port] = process.argv.slice(2);
const http = createServer((request, response) => response.end('ok'));  // what is not socket.io's

new Server(http).on('connection', (socket) => {
  let calls = 0;
  socket.on('count', (reply) => reply({ server: name, calls: ++calls }));
});

http.listen(Number(port), '127.0.0.1', 1024);
