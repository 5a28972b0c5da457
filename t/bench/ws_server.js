// A server with npm's ws, for comparison. It echoes, and broadcasts in /room.
//
// usage: ws_server.js [KEY CERTIFICATE]; prints its ports as one line of JSON,
// ends on a signal.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocket, WebSocketServer } = require('ws');

const backlog = 4096;

// The module's settings: level 1, and messages of any length.
function compressing(takeover) {
    return {
        perMessageDeflate: {
            threshold: 0,
            zlibDeflateOptions: { level: 1 },
            serverNoContextTakeover: !takeover,
            clientNoContextTakeover: !takeover,
        },
    };
}

function echo(server, client) {
    client.on('message', (data, binary) => client.send(data, { binary }));
}

function broadcast(server, client) {
    client.on('message', (data, binary) => {
        for (const each of server.clients) {
            if (each.readyState === WebSocket.OPEN) {
                each.send(data, { binary });
            }
        }
    });
}

function endpoint(serve, options = {}) {
    const server = new WebSocketServer({ noServer: true, ...options });

    server.on('connection', (client) => {
        client.on('error', () => {}); // the load generator resets
        serve(server, client);
    });

    return server;
}

const endpoints = {
    '/echo': endpoint(echo),
    '/room': endpoint(broadcast),
    '/deflate': endpoint(echo, compressing(false)),
    '/deflate-takeover': endpoint(echo, compressing(true)),
};

function listen(server, ready) {
    server.on('upgrade', (request, socket, head) => {
        const found = endpoints[request.url];

        socket.on('error', () => {});

        if (found === undefined) {
            socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
            return;
        }

        found.handleUpgrade(request, socket, head, (client) => {
            found.emit('connection', client, request);
        });
    });
    server.listen({ host: '127.0.0.1', port: 0, backlog }, () =>
        ready(server.address().port));
}

const [key, certificate] = process.argv.slice(2);

listen(http.createServer(), (port) => {
    if (key === undefined) {
        console.log(JSON.stringify({ port }));
        return;
    }

    const server = https.createServer({
        key: fs.readFileSync(key),
        cert: fs.readFileSync(certificate),
    });

    listen(server, (tls_port) =>
        console.log(JSON.stringify({ port, tls_port })));
});
