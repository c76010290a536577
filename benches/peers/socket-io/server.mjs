// A room of Socket.IO: whatever anybody emits is emitted to everybody.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  // No heartbeat falls into a measurement.
  pingInterval: 600_000,
  pingTimeout: 600_000,
});
io.on("connection", (socket) => {
  socket.on("message", (text) => io.emit("message", text));
});
http.listen(Number(process.argv[2]), "127.0.0.1");
