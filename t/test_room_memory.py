"""websocket_room_memory: one room's messages never wipe those of others."""

import pytest

from room_peer import join
from status_reader import status
