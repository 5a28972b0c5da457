"""A DNS server on loopback whose answers the test chooses."""

import socket
import struct
import threading

HEADER = struct.Struct("!6H")
ANSWER = struct.Struct("!HHHIH")
RECURSION = 0x8180  # an answer, without an error
NO_SUCH_NAME = 3
TYPE_A, CLASS_IN = 1, 1


class NameServer:
    """Answers each question for an A record with `addresses`, or NXDOMAIN if
    there are none. questions: the number of questions so far. Answers have a
    TTL of one second."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.questions = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def close(self):
        # An empty datagram ends the thread
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def _run(self):
        while True:
            question, client = self.socket.recvfrom(512)
            if not question:
                return
            self.questions += 1
            self.socket.sendto(self._answer(question), client)

    def _answer(self, question):
        number = HEADER.unpack_from(question)[0]
        end = question.index(b"\0", HEADER.size) + 5
        asked = question[HEADER.size:end]
        found = self.addresses if asked.endswith(
            struct.pack("!2H", TYPE_A, CLASS_IN)) else ()
        status = RECURSION if self.addresses else RECURSION | NO_SUCH_NAME
        name = 0xc000 | HEADER.size  # a pointer to the name in the question
        return HEADER.pack(number, status, 1, len(found), 0, 0) + asked + \
            b"".join(ANSWER.pack(name, TYPE_A, CLASS_IN, 1, 4) +
                     socket.inet_aton(one) for one in found)
