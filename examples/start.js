// The start page: its chat is in the lobby.

import "./chat/chat_box.js";
import { own_name } from "./chat/own_name.js";

document.querySelector("chat-box").enter("lobby", own_name());
