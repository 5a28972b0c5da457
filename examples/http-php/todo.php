<?php
// A to-do list that all clients share, behind nginx's handler `http`. A file has
// the list and the sequence of each client's last event.

$client = $_SERVER['HTTP_WEBSOCKET_CLIENT'];
$file = fopen(getenv('LIST_FILE'), 'c+');
flock($file, LOCK_EX); // all clients get the changes in one order
$all = json_decode(stream_get_contents($file), true)
    ?? ['version' => 0, 'items' => [], 'last' => []];
['version' => $version, 'items' => $items, 'last' => $last] = $all;

switch ($_SERVER['HTTP_WEBSOCKET_EVENT']) {
    case 'connect':
        $last[$client] = 0;
        break;
    case 'disconnect':
        unset($last[$client]);
        break;
    case 'message':
        $message = json_decode(file_get_contents('php://input'), true);
        if ($_SERVER['HTTP_WEBSOCKET_SEQUENCE'] <= ($last[$client] ?? 0)) {
            break; // it is repeated
        }
        $last[$client] = (int) $_SERVER['HTTP_WEBSOCKET_SEQUENCE'];
        if (isset($message['add'])) {
            $items[++$version] = ['text' => $message['add'], 'done' => false];
        } elseif (isset($message['id'], $items[$message['id']])) {
            $items[$message['id']]['done'] = $message['done'];
            $version++;
        } elseif (isset($message['remove'])) {
            unset($items[$message['remove']]);
            $version++;
        }
}

ftruncate($file, 0);
rewind($file);
fwrite($file, json_encode(compact('version', 'items', 'last')));
$list = json_encode(compact('version', 'items'));
if ($version > $all['version']) { // a message to all clients
    file_get_contents($_SERVER['PUSH'], false, stream_context_create(
        ['http' => ['method' => 'POST', 'content' => $list,
                    'header' => 'Content-Type: text/plain']]));
} else { // the first message, or the reply to one that changes nothing
    echo $list;
}
