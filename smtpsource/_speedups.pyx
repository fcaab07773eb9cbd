# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, nonecheck=False
# cython: cdivision=True, auto_pickle=False, always_allow_keywords=True
"""
The way from epoll_wait(2) to the next send(2), compiled: see L{smtpsource.speedups}.

Each class here stands in front of a class of the same name in Python, its reference, and does the usual thing: whatever
else comes goes to the reference by C{super()}, before anything was done about it. What is said of a method there holds
here. A subclass in Python that overrides one of these methods, or one of those that they take the place of, gets the
reference's way for all of them.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, ENOBUFS, errno
from libc.math cimport M_PI, cos, log, sqrt
from libc.string cimport memchr, memcmp, memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os
import socket as _socketModule
import time
from select import epoll as _epoll_
from sys import maxsize
from weakref import ref as _weakref

from smtpsource.phases import TRANSACTION

cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        unsigned int s_addr
    struct sockaddr_in:
        unsigned short sin_family
        unsigned short sin_port
        in_addr sin_addr
    unsigned int ntohl(unsigned int)
    unsigned short ntohs(unsigned short)
    unsigned short htons(unsigned short)

cdef extern from "arpa/inet.h" nogil:
    int inet_pton(int family, const char *text, void *address)

cdef extern from "sys/socket.h" nogil:
    struct sockaddr:
        pass
    ctypedef unsigned int socklen_t
    struct linger:
        int l_onoff
        int l_linger
    int c_socket "socket" (int family, int kind, int protocol)
    int c_connect "connect" (int fd, const sockaddr *address, socklen_t size)
    int accept4(int fd, sockaddr *address, socklen_t *size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
    int AF_INET, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, SHUT_RDWR, SOL_SOCKET, SO_LINGER

cdef extern from "unistd.h" nogil:
    int c_close "close" (int fd)
    ssize_t c_write "write" (int fd, const void *buffer, size_t size)
    int ftruncate(int fd, long long length)
    long long lseek(int fd, long long offset, int whence)
    int SEEK_END

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef extern from "string.h" nogil:
    void *memmem(const void *text, size_t size, const void *wanted, size_t wantedSize)

cdef extern from "sys/socket.h" nogil:
    ssize_t c_recv "recv" (int fd, void *buffer, size_t size, int flags)
    ssize_t c_send "send" (int fd, const void *buffer, size_t size, int flags)
    int MSG_NOSIGNAL
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    ssize_t recvmsg(int fd, msghdr *message, int flags)
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    cmsghdr *CMSG_NXTHDR(msghdr *message, cmsghdr *header)
    unsigned char *CMSG_DATA(cmsghdr *header)
    size_t CMSG_LEN(size_t size)

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_wait(int epfd, epoll_event *events, int maxevents, int timeout)
    int epoll_ctl(int epfd, int operation, int fd, epoll_event *event)
    int EPOLLIN
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLL_CTL_MOD

# Who overrides one of these has the reference's way.
cdef tuple _OF_TRANSPORTS = ("write", "doRead", "_closeSocket", "_mustQueue")
cdef tuple _OF_REACTORS = ("watchReading", "forget", "finishSoon")
# Who overrides one of these calls what is overridden.
cdef frozenset _EXTENDED = frozenset(("connectionLost", "doSoon"))
cdef tuple _OF_DIALOGUE = (
    "dataReceived",
    "perform",
    "_performOne",
    "_performTogether",
    "replyReceived",
    "repliesReceived",
    "write",
)

# What is read is looked at, or copied, before anything else is called.
cdef enum:
    ROOM = 65536
    ANCILLARY = 4128  # CMSG_SPACE(4096), as in the reference, and more
    EVENTS = 1024
    # So often events are waited for before Python has its turn.
    TURNS = 1000
    LINEAR = 2048
    HALF = 1024
    LINEAR_BITS = 11

cdef char _room[ROOM]

# The codes of replies, 200 to 599.
cdef list _codes = [b"%d" % code for code in range(600)]
cdef dict _known = {}
cdef type _epoll = _epoll_


cdef bint _isPlain(type kind, type twin, tuple names, int depth=2):
    """
    Does a class leave these methods as they are here and in the reference, and all attributes of the twin?

    @param depth: how many classes these are, from the twin on.
    """
    key = (kind, twin)
    found = _known.get(key)
    if found is None:
        if len(_known) > 200:
            _known.clear()  # classes that are made again and again are not to stay for ever
        found = _known[key] = _looksPlain(kind, twin, names, depth)
    return found


def _looksPlain(kind, twin, names, depth):
    order = kind.__mro__
    place = order.index(twin)
    # That of UNIX sockets is told apart by its mark.
    own = {*order[place : place + depth], *(one for one in order if "receivesDescriptors" in vars(one))}
    twins = [twin] if depth == 2 else order[place : place + depth]
    shadows = {name for one in twins for name in vars(one) if not name.startswith("__") and name not in _EXTENDED}
    for one in order[:place]:
        if one not in own and not shadows.isdisjoint(vars(one)):
            return False
    for name in names:
        for one in order:
            if name in vars(one):
                if one not in own:
                    return False
                break
    return True


cdef inline double _steady() noexcept nogil:
    """
    As C{time.perf_counter} and C{time.monotonic}, to the last bit.
    """
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return (<long long>now.tv_sec * 1000000000 + now.tv_nsec) / 1e9


cdef int _codeOf(bytes code) except -1:
    """
    The number of a reply's code; 0 if it is none.
    """
    if code is None or PyBytes_GET_SIZE(code) != 3:
        return 0
    cdef const char *digits = PyBytes_AS_STRING(code)
    if not (
        c"2" <= digits[0] <= c"5" and c"0" <= digits[1] <= c"9" and c"0" <= digits[2] <= c"9"
    ):
        return 0
    return (digits[0] - 48) * 100 + (digits[1] - 48) * 10 + digits[2] - 48


cdef int _wholeReply(const char *text, Py_ssize_t size) noexcept nogil:
    """
    The code of exactly one whole reply of one line; 0 if this is none: C{replies.wholeReply}.
    """
    cdef Py_ssize_t at
    if size < 4 or text[size - 1] != c"\n" or memchr(text, c"\n", size - 1) != NULL:
        return 0
    if not (c"2" <= text[0] <= c"5" and c"0" <= text[1] <= c"9" and c"0" <= text[2] <= c"9"):
        return 0
    if text[3] != c" " and text[3] != c"\t":
        at = 3
        while text[at] == c"\r":
            at += 1
        if at != size - 1:
            return 0
    return (text[0] - c"0") * 100 + (text[1] - c"0") * 10 + text[2] - c"0"


# -- What is counted

cdef class Recorder:
    """
    See L{smtpsource.measure.recorder.Recorder}.
    """

    cdef public long long bytesSent
    cdef public long long bytesReceived
    cdef public long long accepted
    cdef public long long recipientsAccepted
    cdef public list buckets
    cdef public list replies

    cpdef reply(self, int phase, double seconds, bytes code, text):
        if self.count(phase, seconds, _codeOf(code)):
            return
        super(Recorder, self).reply(phase, seconds, code, text)

    def firstReply(self, int phase, bytes code, text):
        # The same object for each code is found without a comparison.
        cdef int number = _codeOf(code)
        if number:
            code = <bytes>PyList_GET_ITEM(_codes, number)
        super(Recorder, self).firstReply(phase, code, text)

    cpdef transaction(self, double seconds, long long recipientsAccepted):
        if self.time(TRANSACTION_, seconds):
            self.accepted += 1
            self.recipientsAccepted += recipientsAccepted
        else:
            super(Recorder, self).transaction(seconds, recipientsAccepted)

    cdef bint time(self, int phase, double seconds) except -1:
        """
        Count a latency, if there is a bucket for it already.
        """
        cdef list buckets
        cdef double scaled = seconds * 1e6
        cdef unsigned long long microseconds
        cdef int shift
        if self.buckets is None or not 0 <= scaled < 3.6e9 or not 0 <= phase < PyList_GET_SIZE(self.buckets):
            return False
        buckets = self.buckets[phase]
        microseconds = <unsigned long long>scaled
        if microseconds >= LINEAR:
            shift = 64 - __builtin_clzll(microseconds) - LINEAR_BITS
            microseconds = shift * HALF + (microseconds >> shift)
        if microseconds >= <unsigned long long>PyList_GET_SIZE(buckets):
            return False
        buckets[<Py_ssize_t>microseconds] = <object>PyList_GET_ITEM(buckets, <Py_ssize_t>microseconds) + 1
        return True

    cdef bint count(self, int phase, double seconds, int code) except -1:
        """
        Count a reply, if it is not the first with this code, and there is a bucket for its latency.
        """
        cdef dict counts
        if self.replies is None or not code or not 0 <= phase < PyList_GET_SIZE(self.replies):
            return False
        counts = self.replies[phase]
        key = <object>PyList_GET_ITEM(_codes, code)
        cdef PyObject *had = PyDict_GetItemWithError(counts, key)
        if had == NULL or not self.time(phase, seconds):
            return False
        PyDict_SetItem(counts, key, <object>had + 1)
        return True


cdef extern from *:
    int __builtin_clzll(unsigned long long)

cdef int TRANSACTION_ = TRANSACTION


# -- The dialogue

cdef class Script:
    """
    See L{smtpsource.smtp.script.Script}.
    """

    cdef public bytes phases
    cdef public bytes digits
    cdef public Py_ssize_t recipients
    cdef public bint isEnvelope


cdef class OwedReplies:
    """
    See L{smtpsource.smtp.owed.OwedReplies}.
    """

    cdef public object transport
    cdef public object _recorder
    cdef public object _owed
    cdef public object _clock
    cdef public object _following
    cdef public Script _script
    cdef public tuple _commands
    cdef public Py_ssize_t _step
    cdef public double _written
    cdef public double lastActivity
    cdef public bint over
    cdef public bint _atStart
    cdef public bint _grouped
    cdef public bint plain

    def __cinit__(self):
        self._commands = ()
        self._atStart = True
        self.plain = _isPlain(type(self), OwedReplies, _OF_DIALOGUE)

    def dataReceived(self, data):
        if self.plain and type(data) is bytes:
            self.received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data)
        else:
            super(OwedReplies, self).dataReceived(data)

    def perform(self, Script script not None, data=b"", tuple commands not None=(), now=None):
        if script.phases is None or script.digits is None:
            raise TypeError("expected a script with phases and digits")
        if type(data) is not bytes:
            return super(OwedReplies, self).perform(script, data, commands, now)
        cdef double time = self.now() if now is None else now
        if self._script is not None:
            self._following.append((script, time))
        else:
            self._script = script
            self._step = 0
            self._commands = commands
            self._written = self.lastActivity = time
        if PyBytes_GET_SIZE(<bytes>data):
            self.send(data)
        return time

    cdef double now(self) except? -1:
        clock = self._clock
        if clock is _perfCounter or clock is _monotonic:
            return _steady()
        return clock()

    cdef int send(self, data) except -1:
        """
        Write something, and count it.
        """
        cdef EagerDescriptor transport
        if isinstance(self._recorder, Recorder):
            (<Recorder>self._recorder).bytesSent += len(data)
        else:
            self._recorder.bytesSent += len(data)
        if type(data) is bytes and isinstance(self.transport, EagerDescriptor):
            transport = <EagerDescriptor>self.transport
            if transport.plain and not transport.TLS:
                return transport.sendNow(data)
        self.transport.write(data)
        return 0

    cdef int received(self, const char *text, Py_ssize_t size, bytes data) except -1:
        """
        Something came.

        @param data: the same as an object, if there is one. The text may be gone once anything else is called.
        """
        cdef int code
        cdef Recorder recorder
        if data is None and self._clock is not _perfCounter and self._clock is not _monotonic:
            data = PyBytes_FromStringAndSize(text, size)  # the clock is Python: anything may be read meanwhile
            text = PyBytes_AS_STRING(data)
        if self._atStart and isinstance(self._recorder, Recorder):
            recorder = <Recorder>self._recorder
            if self._grouped:
                if self._script is not None:
                    if data is None:
                        data = PyBytes_FromStringAndSize(text, size)
                    data = self.performTogether(data, recorder)
                    if not PyBytes_GET_SIZE(data):
                        return 0
            else:
                code = _wholeReply(text, size)
                if code:
                    if self._script is not None:
                        if self.performOne(code, size, recorder):
                            return 0
                    elif self.answered(code, text, size, data, recorder):
                        return 0
        super(OwedReplies, self).dataReceived(PyBytes_FromStringAndSize(text, size) if data is None else data)
        return 0

    cdef bint performOne(self, int code, Py_ssize_t size, Recorder recorder) except -1:
        """
        One whole reply came: go on with the script, if it is the one that it wants, and not the first of its kind.
        """
        cdef Script script = self._script
        cdef Py_ssize_t step = self._step
        cdef double now
        if step >= PyBytes_GET_SIZE(script.digits):
            return False
        cdef int digit = PyBytes_AS_STRING(script.digits)[step] - 48
        if code // 100 != digit or (digit == 3 and code != 354):
            return False
        now = self.now()
        if not recorder.count(PyBytes_AS_STRING(script.phases)[step], now - self._written, code):
            return False
        recorder.bytesReceived += size
        self.lastActivity = self._written = now
        self._step = step + 1
        if step < len(self._commands):
            self.send(self._commands[step])
        elif step + 1 == PyBytes_GET_SIZE(script.phases):
            self._script = None
            self.ended(script, now)
        return True

    cdef bytes performTogether(self, bytes data, Recorder recorder):
        """
        Several replies came at once: take those that the scripts want.

        @return: the rest.
        """
        cdef const char *text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t total = PyBytes_GET_SIZE(data), at = 0, size
        cdef double now = self.now()
        cdef const char *end
        cdef Script script
        cdef int code, digit
        cdef Py_ssize_t step
        cdef bint isLast
        recorder.bytesReceived += total
        while at < total:
            end = <const char *>memchr(text + at, c"\n", total - at)
            script = self._script
            step = self._step
            if end == NULL or script is None or step >= PyBytes_GET_SIZE(script.digits):
                break
            size = end + 1 - (text + at)
            code = _wholeReply(text + at, size)
            digit = PyBytes_AS_STRING(script.digits)[step] - 48
            isLast = step + 1 == PyBytes_GET_SIZE(script.phases)
            if not code or code // 100 != digit or (digit == 3 and code != 354):
                break
            if isLast and at + size != total and not self._following:
                break
            if not recorder.count(PyBytes_AS_STRING(script.phases)[step], now - self._written, code):
                break
            self.lastActivity = now
            at += size
            self._step = step + 1
            if isLast:
                self._step = 0
                self._script = None
                if self._following:
                    self._script, self._written = self._following.popleft()
                self.ended(script, now)
                if self.over:
                    return b""
        recorder.bytesReceived -= total - at  # the rest is counted by whoever takes it
        return data[at:] if at else data

    cdef int ended(self, Script script, double now) except -1:
        """
        All that it wants has come.
        """
        if script.isEnvelope:
            self.envelopeAccepted(script.recipients)
        else:
            self.messageAccepted(script.recipients, now)
        return 0

    cdef bint answered(self, int code, const char *text, Py_ssize_t size, bytes data, Recorder recorder) except -1:
        """
        One whole reply came: give it to who asked for it, if it is not the first of its kind.
        """
        if not self._owed:
            return False
        if data is None:
            data = PyBytes_FromStringAndSize(text, size)
        phase, answer, written = self._owed[0]
        cdef double now = self.now()
        if not recorder.count(phase, now - <double>written, code):
            return False
        self._owed.popleft()
        recorder.bytesReceived += size
        self.lastActivity = now
        answer(<object>PyList_GET_ITEM(_codes, code), data)
        return True


cdef object _perfCounter = time.perf_counter
cdef object _monotonic = time.monotonic


# -- The wire

# What connections end with, and what a socket is: see _learnWire.
cdef object _done, _aborted, _ConnectionAborted, _eagerServer, _theirBuildProtocol
cdef object _Socket = _socketModule.socket


cdef int _learnWire() except -1:
    """
    Get what is Twisted's and the reference's. They are there when the first transport is made; who only measures
    does without Twisted.
    """
    global _done, _aborted, _ConnectionAborted, _theirBuildProtocol
    from twisted.internet.error import ConnectionAborted
    from twisted.internet.protocol import Factory

    from smtpsource.net.lean import descriptor

    _theirBuildProtocol = Factory.buildProtocol
    _ConnectionAborted = ConnectionAborted
    _done, _aborted = descriptor._DONE, descriptor._ABORTED
    return 0


cdef class EagerDescriptor:
    """
    See L{smtpsource.net.lean.descriptor.EagerDescriptor}.
    """

    cdef public int connected
    cdef public bint _writeDisconnected
    cdef public bint sendFailed
    cdef public bint TLS
    cdef public Py_ssize_t _tempDataLen
    cdef public object dataBuffer
    cdef public object producer
    cdef public bint streamingProducer
    cdef public long long _turn
    cdef public Py_ssize_t _sentInTurn
    cdef public object _sendmsgQueue
    cdef public object reactor
    cdef public int disconnected
    cdef public int disconnecting
    cdef public bint _writeDisconnecting
    cdef public bint _aborting
    cdef Turns turns
    # There is no object for this descriptor yet: it is made when somebody asks for it.
    cdef bint isBare
    # Where it comes from then.
    cdef sockaddr_in address
    cdef object _client
    cdef object _hostname
    cdef object _fileno
    cdef object _socket
    cdef object _protocol
    cdef int fd
    cdef bint hasProtocol
    cdef bint plain
    # File descriptors may come along.
    cdef bint hasAncillary

    def __cinit__(self):
        self.fd = -1
        self._turn = -1
        self.hasAncillary = getattr(type(self), "receivesDescriptors", False)
        self.dataBuffer = b""
        self._sendmsgQueue = ()
        if _done is None:
            _learnWire()
        self.plain = _isPlain(type(self), EagerDescriptor, _OF_TRANSPORTS)

    def __dealloc__(self):
        if self.isBare:
            c_close(self.fd)

    def number(self):
        return self.fd

    @property
    def fileno(self):
        return self.number if self._fileno is None else self._fileno

    @fileno.setter
    def fileno(self, value):
        self._fileno = value

    @fileno.deleter
    def fileno(self):
        self._fileno = None

    @property
    def socket(self):
        if self.isBare:
            # That it does not block is told to the object; the descriptor knows it.
            self._socket = _Socket(_socketModule.AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, self.fd)
            self.isBare = False
        if self._socket is None:
            raise AttributeError("socket")
        return self._socket

    @property
    def client(self):
        cdef unsigned int number
        if self._client is None:
            if not self.address.sin_family:
                raise AttributeError("client")
            number = ntohl(self.address.sin_addr.s_addr)
            self._client = (
                f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", ntohs(self.address.sin_port)
            )
        return self._client

    @client.setter
    def client(self, value):
        self._client = value

    @property
    def hostname(self):
        if self._hostname is None:
            return self.client[0]
        return self._hostname

    @hostname.setter
    def hostname(self, value):
        self._hostname = value

    @socket.setter
    def socket(self, value):
        if self.isBare:
            raise AttributeError("socket: there is one already")
        self._socket = value
        self.fd = value.fileno()

    @socket.deleter
    def socket(self):
        if self._socket is None and not self.isBare:
            raise AttributeError("socket")
        if self.isBare:
            self.isBare = False
            c_close(self.fd)
        self._socket = None
        self.fd = -1

    @property
    def protocol(self):
        if not self.hasProtocol:
            raise AttributeError("protocol")
        return self._protocol

    @protocol.setter
    def protocol(self, value):
        self._protocol = value
        self.hasProtocol = True

    @protocol.deleter
    def protocol(self):
        if not self.hasProtocol:
            raise AttributeError("protocol")
        self._protocol = None
        self.hasProtocol = False

    def write(self, data):
        if self.plain and type(data) is bytes:
            self.sendNow(data)
        else:
            super(EagerDescriptor, self).write(data)

    def doRead(self):
        return self.read() if self.plain else super(EagerDescriptor, self).doRead()

    cdef bint isIdle(self, Py_ssize_t size) except -1:
        """
        May so much be sent at once: does nothing wait before it, and nobody to be asked for more?
        """
        return (
            self.fd >= 0
            and not self._tempDataLen
            and (self.producer is None or (self.streamingProducer and self.mayPush(size)))
            and len(self.dataBuffer) == 0
            and len(self._sendmsgQueue) == 0
        )

    cdef Turns turnsOf(self):
        """
        The turns of its reactor, if they are compiled.
        """
        if self.turns is None:
            turns = getattr(self.reactor, "_turns", None)
            if isinstance(turns, Turns):
                self.turns = <Turns>turns
        return self.turns

    cdef bint mayPush(self, Py_ssize_t size) except -1:
        """
        Count what a push producer sends in this turn, if it is not so much that it has to pause.
        """
        cdef Turns turns = self.turnsOf()
        if turns is None:
            return False
        cdef Py_ssize_t sent = size + (self._sentInTurn if self._turn == turns.turn else 0)
        if sent > <Py_ssize_t>self.bufferSize:
            return False
        self._turn = turns.turn
        self._sentInTurn = sent
        return True

    def registerProducer(self, producer, streaming):
        if self.plain and streaming and not self.TLS and self.producer is None and not self.disconnected:
            self.producer = producer
            self.streamingProducer = True
        else:
            super(EagerDescriptor, self).registerProducer(producer, streaming)

    def loseConnection(self):
        cdef Turns turns
        if (
            self.plain
            and not self.TLS
            and self.connected
            and not self.disconnecting
            and not self._writeDisconnecting
            and self.producer is None
            and self.isIdle(0)
        ):
            turns = self.turnsOf()
            if turns is not None and turns.isOurs():
                self.disconnecting = 1
                turns.forget(self.fd)
                turns.soon.append(self)
                return
        super(EagerDescriptor, self).loseConnection()

    def doSoon(self):
        if self.plain and self._aborting:
            if self.connected:
                self.connectionLost(_aborted)
        elif self.plain and self.disconnecting and self.producer is None and self.isIdle(0):
            if self.connected:
                self.connectionLost(_done)
        else:
            super(EagerDescriptor, self).doSoon()

    def abortConnection(self):
        cdef Turns turns = self.turnsOf() if self.plain and self.fd >= 0 else None
        if turns is None or not turns.isOurs():
            super(EagerDescriptor, self).abortConnection()
            return
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self.disconnecting = 1
        self._writeDisconnected = True
        turns.forget(self.fd)
        turns.soon.append(self)

    def connectionLost(self, reason):
        cdef Turns turns = None
        if self.plain and self.fd >= 0 and self.producer is None and self.hasProtocol:
            turns = self.turnsOf()
        if (
            turns is None
            or not turns.isOurs()
            or not (self.isBare or (type(self._socket) is _Socket and self._socket.fileno() == self.fd))
        ):
            super(EagerDescriptor, self).connectionLost(reason)
            return
        self.disconnected = 1
        self.connected = 0
        turns.forget(self.fd)
        self.closeSocket(not isinstance(reason.value, _ConnectionAborted))
        protocol = self._protocol
        self._protocol = None
        self.hasProtocol = False
        self._fileno = None
        try:
            self.lostProtocol = _weakref(protocol)
        except TypeError:
            pass
        protocol.connectionLost(reason)

    cdef int closeSocket(self, bint isOrderly) except -1:
        """
        What C{_closeSocket} does.
        """
        cdef linger notAtAll
        if isOrderly:
            shutdown(self.fd, SHUT_RDWR)
        else:
            notAtAll.l_onoff = 1
            notAtAll.l_linger = 0
            setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &notAtAll, sizeof(notAtAll))
        skt = self._socket
        fd = self.fd
        self._socket = None
        self.fd = -1
        if self.isBare:
            self.isBare = False
            c_close(fd)
        else:
            try:
                skt.close()
            except OSError:
                pass
        return 0

    cdef bint isStill(self) except -1:
        """
        Is the descriptor still that of the object which others have? Who has closed it may have made room for another.
        """
        return self._socket.fileno() == self.fd

    cdef int sendNow(self, bytes data) except -1:
        """
        Send it, if nothing waits before it.
        """
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), sent
        if not self.connected or self._writeDisconnected or not size:
            return 0
        if not self.isIdle(size) or (self._socket is not None and not self.isStill()):
            super(EagerDescriptor, self).write(data)
            return 0
        sent = c_send(self.fd, PyBytes_AS_STRING(data), size, MSG_NOSIGNAL)
        if sent == size:
            return 0
        if sent < 0:
            if errno == EINTR:
                super(EagerDescriptor, self).write(data)
                return 0
            self.sendFailed = errno != EAGAIN and errno != ENOBUFS
            sent = 0
        self._keep(data, sent)
        return 0

    cdef object over(self, bint isLost=False):
        """
        Why the connection is over.
        """
        # Who only measures does without Twisted.
        from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

        return CONNECTION_LOST if isLost or self.sendFailed else CONNECTION_DONE

    cdef object read(self):
        """
        What C{doRead} does.
        """
        cdef ssize_t size
        if self.fd < 0 or (self._socket is not None and not self.isStill()):
            return super(EagerDescriptor, self).doRead()
        if self.hasAncillary:
            size = self.receiveWithAncillary()
        else:
            size = c_recv(self.fd, _room, ROOM, 0)
        if size > 0:
            protocol = self._protocol
            if isinstance(protocol, OwedReplies) and (<OwedReplies>protocol).plain:
                (<OwedReplies>protocol).received(_room, size, None)
            elif isinstance(protocol, SMTPSinkProtocol) and (<SMTPSinkProtocol>protocol).isStraight():
                (<SMTPSinkProtocol>protocol).received(_room, size, None)
            else:
                protocol.dataReceived(PyBytes_FromStringAndSize(_room, size))
            return None
        if size == 0:
            return self.over()
        if errno == EINTR:
            PyErr_CheckSignals()
            return None  # there is still something to read, and it will be said again
        return None if errno == EAGAIN else self.over(True)

    cdef ssize_t receiveWithAncillary(self) except? -1:
        """
        recv(2), and hand over what comes along.
        """
        cdef char control[ANCILLARY]
        cdef iovec where
        cdef msghdr message
        cdef cmsghdr *header
        cdef ssize_t size
        where.iov_base = _room
        where.iov_len = ROOM
        memset(&message, 0, sizeof(message))
        message.msg_iov = &where
        message.msg_iovlen = 1
        message.msg_control = control
        message.msg_controllen = ANCILLARY
        size = recvmsg(self.fd, &message, 0)
        if size < 0 or not message.msg_controllen:
            return size
        ancillary = []
        header = CMSG_FIRSTHDR(&message)
        while header != NULL:
            data = PyBytes_FromStringAndSize(<char *>CMSG_DATA(header), header.cmsg_len - CMSG_LEN(0))
            ancillary.append((header.cmsg_level, header.cmsg_type, data))
            header = CMSG_NXTHDR(&message, header)
        data = PyBytes_FromStringAndSize(_room, size)
        self._ancillaryReceived(ancillary)
        memcpy(_room, PyBytes_AS_STRING(data), size)  # if anything was read meanwhile
        return size


# -- The turns of the event loop

cdef bint _isLean(type kind) except -1:
    """
    Is this L{smtpsource.net.reactor.LeanReactor}, as far as transports ask something of it?
    """
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = all(
            getattr(getattr(kind, name, None), "__module__", "") == "smtpsource.net.reactor" for name in _OF_REACTORS
        )
    return found


cdef class Turns:
    """
    See L{smtpsource.net.lean.turns.Turns}.
    """

    cdef public object reactor
    cdef public long long turn
    cdef public bint handlingEvents
    cdef public object current
    cdef public dict stale
    cdef public list soon
    cdef public bint isChanged
    cdef public bint once
    cdef object poller
    cdef int epfd

    cdef bint isOurs(self) except -1:
        """
        May what a transport asks of the reactor be done here? While events are handled, and of a reactor of ours.
        """
        reactor = self.reactor
        return self.poller is not None and self.poller is reactor._poller and _isLean(type(reactor))

    cdef int forget(self, int fd) except -1:
        """
        What the reactor's C{forget} does.
        """
        reactor = self.reactor
        cdef dict selectables = reactor._selectables
        key = fd
        if PyDict_GetItemWithError(selectables, key) == NULL:
            return 0
        if epoll_ctl(self.epfd, EPOLL_CTL_DEL, fd, NULL) < 0:
            reactor.forget(fd)  # which raises what is to be raised
            return 0
        del selectables[key]
        (<set?>reactor._reads).discard(key)
        (<set?>reactor._writes).discard(key)
        self.stale[key] = None
        return 0

    cdef int watchReading(self, int fd, descriptor) except -1:
        """
        What the reactor's C{watchReading} does.
        """
        reactor = self.reactor
        cdef dict selectables = reactor._selectables
        key = fd
        if PyDict_GetItemWithError(selectables, key) != NULL:
            if not self.control(EPOLL_CTL_MOD, fd, EPOLLIN):
                reactor.watchReading(fd, descriptor)  # as above
                return 0
            (<set?>reactor._writes).discard(key)
        else:
            if not self.control(EPOLL_CTL_ADD, fd, EPOLLIN):
                reactor.watchReading(fd, descriptor)
                return 0
            selectables[key] = descriptor
        (<set?>reactor._reads).add(key)
        return 0

    cdef bint control(self, int operation, int fd, int events):
        cdef epoll_event event
        event.events = <unsigned int>events
        event.data.fd = fd
        return epoll_ctl(self.epfd, operation, fd, &event) == 0

    def poll(self, timeout):
        """
        As the reference does; and again, as long as nothing but events is there to be done.
        """
        cdef epoll_event events[EVENTS]
        reactor = self.reactor
        cdef dict selectables = reactor._selectables, stale = self.stale
        cdef list threadCalls = reactor.threadCallQueue, timedCalls = reactor._newTimedCalls
        cdef double seconds, until = 0
        cdef int number, most, milliseconds, turns = 0
        poller = reactor._poller
        if self.handlingEvents or type(poller) is not _epoll:
            super(Turns, self).poll(timeout)  # somebody iterates within an event, or looks at what is polled
            return
        if self.poller is not poller:
            self.poller = poller
            self.epfd = poller.fileno()
        timeouts = reactor.connectTimeouts
        timeout, overdue = self.waitingTime(timeout)
        due = timeouts.due
        seconds = timeout
        if seconds > 0:
            until = _steady() + seconds
        self.isChanged = False
        while True:
            stale.clear()
            most = min(EVENTS, max(1, len(selectables)))
            milliseconds = -1 if seconds < 0 else 2147483647 if seconds > 2147483 else <int>(seconds * 1e3 + 0.999999)
            if milliseconds:
                with nogil:
                    number = epoll_wait(self.epfd, events, most, milliseconds)
            else:
                number = epoll_wait(self.epfd, events, most, 0)
            if number < 0:
                if errno == EINTR:
                    PyErr_CheckSignals()
                    return
                super(Turns, self).poll(0)  # which raises what is to be raised
                return
            self.turn += 1
            self.handlingEvents = True
            try:
                self.handleEach(events, number, selectables, stale)
                if self.soon:
                    self.isChanged = True
                    self.doSoon()
            finally:
                self.handlingEvents = False
                self.current = None
            if overdue is not None:
                timeouts.expire(overdue)
                return
            turns += 1
            if (
                number == 0
                or seconds == 0
                or self.once
                or self.isChanged
                or turns == TURNS
                or len(threadCalls)
                or len(timedCalls)
                or timeouts.due is not due
            ):
                return
            if seconds > 0:
                seconds = until - _steady()
                if seconds <= 0:
                    return

    cdef int handleEach(self, epoll_event *events, int number, dict selectables, dict stale) except -1:
        """
        What C{handle} does.
        """
        cdef int at, fd
        cdef unsigned int event
        cdef PyObject *found
        cdef EagerDescriptor descriptor
        for at in range(number):
            fd = events[at].data.fd
            event = events[at].events
            key = fd
            if len(stale) and key in stale:
                continue
            found = PyDict_GetItemWithError(selectables, key)
            if found == NULL:
                continue
            selectable = <object>found
            self.current = selectable
            if event != <unsigned int>EPOLLIN or not isinstance(selectable, EagerDescriptor):
                if self.handle([(fd, event)]):
                    return 0
                continue
            descriptor = <EagerDescriptor>selectable
            if not descriptor.plain or descriptor.fd != fd:
                if self.handle([(fd, event)]):
                    return 0
                continue
            try:
                why = descriptor.read()
            except BaseException as e:
                why = e
                self.raised(selectable, e)
            if why is not None and self.over(selectable, why, True):
                return 0
        return 0


# -- The sink

# Who overrides one of these has the reference's way.
cdef tuple _OF_SINK = (
    "dataReceived",
    "MAX_LENGTH",
    "_answer",
    "_beginMessage",
    "_commandFor",
    "_findEndOfContent",
    "_contentCame",
    "_contentReceived",
    "beginChunk",
    "_chunkReceived",
    "_mailParameters",
    "_forgetTransaction",
)

cdef enum:
    # Of what is taken here; longer ones are taken by the reference.
    LONGEST_LINE = 1000
    LONGEST_PATH = 500
    LONGEST_SIZE = 18
    # No more connections are accepted in one turn.
    MOST_ACCEPTED = 200
    # Room for the replies to what comes at once.
    REPLIES = 4096
    # The same where each of them may be a refusal in place of what there was room for.
    REFUSALS = 4 * REPLIES

cdef object _maxsize = maxsize

# The replies, as the reference has them: see _learn.
cdef bytes _mailOk, _rcptOk, _startContent, _ok, _delivered, _bye


cdef int _learn() except -1:
    """
    Get the replies. The module that has them is there when the first session is made, and not before.
    """
    global _mailOk, _rcptOk, _startContent, _ok, _delivered, _bye
    from smtpsource.sink import protocol

    _mailOk, _rcptOk, _startContent = protocol.MAIL_OK, protocol.RCPT_OK, protocol.START_CONTENT
    _ok, _delivered, _bye = protocol.OK, protocol.DELIVERED, protocol.BYE
    return 0


cdef struct Replies:
    # What is to be written.
    Py_ssize_t size
    char text[REFUSALS]


cdef bint _hasRoom(Replies *replies, bytes reply, Py_ssize_t times, Py_ssize_t others=0) noexcept:
    """
    Is there room for a reply, so many times, and so many bytes besides?
    """
    return times <= REPLIES and PyBytes_GET_SIZE(reply) * times + others <= REPLIES - replies.size


cdef int _add(Replies *replies, bytes reply) except -1:
    """
    Add a reply for which there is room.
    """
    memcpy(replies.text + replies.size, PyBytes_AS_STRING(reply), PyBytes_GET_SIZE(reply))
    replies.size += PyBytes_GET_SIZE(reply)
    return 0


cdef Py_ssize_t _endOfPath(const char *text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """
    The index after the bracket that ends a path of a group; 0 if it is not as C{_isGroup} has it.

    @param at: the index after the bracket that begins it.
    """
    cdef Py_ssize_t most = min(size, at + LONGEST_PATH + 1)
    while at < most:
        if text[at] == c">":
            return at + 1
        if text[at] == c"\r" or text[at] == c"\n" or text[at] == c'"':
            return 0
        at += 1
    return 0


cdef Py_ssize_t _endOfContent(bytes tail, const char *text, Py_ssize_t size) noexcept:
    """
    The index after the line that ends a content; 0 if it does not end: C{_findEndOfContent}.

    @param tail: the last bytes before this, no more than 4.
    """
    cdef char both[8]
    cdef Py_ssize_t before = PyBytes_GET_SIZE(tail), begin = min(4, size), at
    cdef const char *found
    memcpy(both, PyBytes_AS_STRING(tail), before)
    memcpy(both + before, text, begin)
    found = <const char *>memmem(both, before + begin, b"\r\n.\r\n", 5)
    if found != NULL:
        return found - both + 5 - before
    # Looking for a single byte is many times faster, and large test messages have few dots.
    found = <const char *>memchr(text, c".", size)
    if found == NULL:
        return 0
    at = max(0, found - text - 2)
    found = <const char *>memmem(text + at, size - at, b"\r\n.\r\n", 5)
    return 0 if found == NULL else found - text + 5


cdef class SinkCounts:
    """
    See L{smtpsource.sink.summary.SinkCounts}.
    """

    cdef public long long messages
    cdef public long long recipients
    cdef public long long bytesReceived
    cdef public long long bytesSent
    cdef public long long chunks
    cdef public long long quits


cdef class SMTPSinkProtocol:
    """
    See L{smtpsource.sink.protocol.SMTPSinkProtocol}.
    """

    cdef public object transport
    cdef public object factory
    cdef public object counts
    cdef public object commands
    cdef public bytes _buffer
    cdef public bytes _tail
    cdef public object _refusal
    cdef public unsigned long long _octets
    cdef public Py_ssize_t recipients
    cdef public int line_mode
    cdef public bint active
    cdef public bint inTransaction
    cdef public bint _mute
    cdef public bint _ended
    cdef public bint _ending
    cdef public bint _refusing
    cdef public bint _isLast
    cdef public bint _chunked
    cdef object _dialogue
    # What the dialogue says.
    cdef object grouped
    cdef object helo
    cdef bint chunking
    cdef bint lmtp
    cdef bint plain

    def __cinit__(self):
        if _ok is None:
            _learn()
        self._buffer = self._tail = b""
        self.line_mode = 1
        self.active = True
        self.plain = _isPlain(type(self), SMTPSinkProtocol, _OF_SINK)

    @property
    def dialogue(self):
        if self._dialogue is None:
            raise AttributeError("dialogue")
        return self._dialogue

    @dialogue.setter
    def dialogue(self, value):
        self._dialogue = value
        self.grouped = value.grouped
        self.chunking = value.chunking
        self.lmtp = value.lmtp
        self.helo = value.helo if self.grouped is not None and b"HELO " in self.grouped else None

    def dataReceived(self, data):
        if self.plain and type(data) is bytes:
            self.received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data)
        else:
            super(SMTPSinkProtocol, self).dataReceived(data)

    cdef bint isStraight(self):
        """
        May what was read come here without C{dataReceived}? While there is a PROXY header to come, that is another.
        """
        return self.plain and not self._mute

    cdef int received(self, const char *text, Py_ssize_t size, bytes data) except -1:
        """
        Something came.

        @param data: the same as an object, if there is one. The text may be gone once anything else is called.
        """
        cdef Replies replies
        cdef bytes reply, rest
        cdef SinkCounts counts
        if (
            not self._ended
            and not PyBytes_GET_SIZE(self._buffer)
            and self.grouped is not None
            and self.commands is self.grouped
            and isinstance(self.counts, SinkCounts)
        ):
            counts = <SinkCounts>self.counts
            if self.line_mode and memchr(text, c"\n", size) == text + size - 1:
                reply = self.answerLine(text, size, counts)
                rest = None if reply is None else b""
            else:
                replies.size = 0
                rest = self.answerAll(text, size, data, &replies, counts)
                reply = None if rest is None else PyBytes_FromStringAndSize(replies.text, replies.size)
            if rest is not None:
                counts.bytesReceived += size
                self.active = True
                if PyBytes_GET_SIZE(rest):
                    reply = reply + <bytes?>super(SMTPSinkProtocol, self)._answer(rest)
                if PyBytes_GET_SIZE(reply):
                    self.send(reply, counts)
                if self._ended:
                    self._close()
                return 0
        super(SMTPSinkProtocol, self).dataReceived(PyBytes_FromStringAndSize(text, size) if data is None else data)
        return 0

    cdef int send(self, bytes reply, SinkCounts counts) except -1:
        """
        Write something, and count it.
        """
        cdef EagerDescriptor transport
        counts.bytesSent += PyBytes_GET_SIZE(reply)
        if isinstance(self.transport, EagerDescriptor):
            transport = <EagerDescriptor>self.transport
            if transport.plain and not transport.TLS:
                return transport.sendNow(reply)
        self.transport.write(reply)
        return 0

    cdef bytes answerLine(self, const char *text, Py_ssize_t size, SinkCounts counts):
        """
        What a client sends that waits for each reply: one command line.

        @return: the reply; C{None} if it is unusual.
        """
        cdef Py_ssize_t at
        if size < 6 or size > LONGEST_LINE or text[size - 2] != c"\r":
            return None
        if not memcmp(text, b"MAIL ", 5) or not memcmp(text, b"RCPT ", 5):
            at = 10 if text[0] == c"M" else 8
            if size < at + 5 or memcmp(text + 5, b"FROM:" if text[0] == c"M" else b"TO:", at - 5):
                return None
            if text[at] == c" ":
                at += 1
            if text[at] != c"<" or memchr(text + at, c">", size - at) != text + size - 3:
                return None
            if text[0] == c"M":
                if self.inTransaction:
                    return None
                self.inTransaction = True
                return _mailOk
            if not self.inTransaction or self._chunked:
                return None
            self.recipients += 1
            return _rcptOk
        if size == 6 and not memcmp(text, b"DATA", 4):
            if not self.recipients or self._chunked:
                return None
            self.line_mode = 0
            self._tail = b"\r\n"
            return _startContent
        if size == 6 and not memcmp(text, b"QUIT", 4):
            counts.quits += 1
            self._ended = True
            return _bye
        if self.helo is not None and not memcmp(text, b"HELO ", 5):
            self.inTransaction = self._chunked = False
            self.recipients = 0
            return self.helo
        return None

    cdef bytes answerAll(
        self, const char *text, Py_ssize_t size, bytes data, Replies *replies, SinkCounts counts
    ):
        """
        Answer contents and groups, as far as they are as usual.

        @param data: as for C{received}.
        @return: the rest; C{None} if nothing is as usual, and nothing was done.
        """
        cdef Py_ssize_t at = 0, end
        while at < size:
            if self.line_mode:
                if data is None:
                    # It may have parameters, and who looks at them be interrupted by who reads something else.
                    data = PyBytes_FromStringAndSize(text, size)
                    text = PyBytes_AS_STRING(data)
                end = self.beginMessage(text + at, size - at, replies)
                if not end:
                    break
                at += end
            elif not self._octets:
                if PyBytes_GET_SIZE(self._tail) > 4:
                    break
                end = _endOfContent(self._tail, text + at, size - at)
                if not end:
                    self.keepTail(text + at, size - at)
                    return b""
                if not self.mayComplete(replies, counts):
                    break
                at += end
                self.complete(replies, counts)
            elif self._octets > <unsigned long long>(size - at):
                self._octets -= size - at
                return b""
            else:
                if self._refusal is not None or not self._isLast or not self.mayComplete(replies, counts):
                    break
                at += self._octets
                self._octets = 0
                self._chunked = False
                counts.chunks += 1
                self.complete(replies, counts)
        return None if not at and size else PyBytes_FromStringAndSize(text + at, size - at)

    cdef int keepTail(self, const char *text, Py_ssize_t size) except -1:
        """
        Keep the last bytes of a content that has not ended: the line that ends it may be split anywhere.
        """
        cdef bytes tail
        if size >= 4:
            self._tail = PyBytes_FromStringAndSize(text + size - 4, 4)
        else:
            tail = self._tail + PyBytes_FromStringAndSize(text, size)
            self._tail = tail[max(0, PyBytes_GET_SIZE(tail) - 4) :]
        return 0

    cdef bint mayComplete(self, Replies *replies, SinkCounts counts) except -1:
        """
        May a message be completed, and nothing else comes of it?
        """
        if self._refusing or self._ending:
            return False
        if self.lmtp:
            if not _hasRoom(replies, _delivered, self.recipients):
                return False
        elif not _hasRoom(replies, _ok, 1):
            return False
        limit = self.factory.messageLimit
        return limit is _maxsize or counts.messages + 1 < limit

    cdef int complete(self, Replies *replies, SinkCounts counts) except -1:
        """
        What C{_contentReceived} does.
        """
        cdef Py_ssize_t recipients = self.recipients
        self.line_mode = 1
        self.inTransaction = False
        self.recipients = 0
        counts.messages += 1
        counts.recipients += recipients
        if not self.lmtp:
            return _add(replies, _ok)
        while recipients > 0:
            _add(replies, _delivered)
            recipients -= 1
        return 0

    cdef Py_ssize_t beginMessage(self, const char *text, Py_ssize_t size, Replies *replies) except -1:
        """
        Do what a group wants, as C{_isGroup} has it: C{_beginMessage}.

        @return: the index after it; 0 if it is unusual.
        """
        cdef Py_ssize_t at, end, parameters = 0, parametersEnd = 0, recipients = 0
        cdef unsigned long long octets = 0
        cdef bint isChunk = False
        if self.inTransaction or size < 32 or memcmp(text, b"MAIL FROM:<", 11):
            return 0
        at = _endOfPath(text, 11, size)
        if not at or at >= size:
            return 0
        if text[at] == c" ":
            parameters = at = at + 1
            while at < size and text[at] != c"\r" and text[at] != c"\n":
                at += 1
            parametersEnd = at
            if not 1 <= parametersEnd - parameters <= LONGEST_PATH:
                return 0
        if size - at < 2 or text[at] != c"\r" or text[at + 1] != c"\n":
            return 0
        at += 2
        while size - at >= 9 and not memcmp(text + at, b"RCPT TO:<", 9):
            at = _endOfPath(text, at + 9, size)
            if not at or size - at < 2 or text[at] != c"\r" or text[at + 1] != c"\n":
                return 0
            at += 2
            recipients += 1
        if not recipients:
            return 0
        if size - at >= 6 and not memcmp(text + at, b"DATA\r\n", 6):
            at += 6
        elif self.chunking and size - at >= 13 and not memcmp(text + at, b"BDAT ", 5):
            at += 5
            end = min(size, at + LONGEST_SIZE)
            while at < end and c"0" <= text[at] <= c"9":
                octets = octets * 10 + (text[at] - 48)
                at += 1
            if not octets or size - at < 7 or memcmp(text + at, b" LAST\r\n", 7):
                return 0
            at += 7
            isChunk = True
        else:
            return 0
        if not _hasRoom(
            replies, _rcptOk, recipients, PyBytes_GET_SIZE(_mailOk) + PyBytes_GET_SIZE(_startContent)
        ):
            return 0
        if parameters and self._mailParameters(text[parameters:parametersEnd]) is not None:
            return 0
        self.inTransaction = True
        self.recipients = recipients
        self.line_mode = 0
        _add(replies, _mailOk)
        while recipients > 0:
            _add(replies, _rcptOk)
            recipients -= 1
        if isChunk:
            self._isLast = True
            self._refusal = None
            self._octets = octets
        else:
            self._tail = b"\r\n"
            _add(replies, _startContent)
        return at


# -- What the ledgers of both ends have

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define SMTPSOURCE_LITTLE_ENDIAN 1
    #else
    #define SMTPSOURCE_LITTLE_ENDIAN 0
    #endif
    """
    bint SMTPSOURCE_LITTLE_ENDIAN

cdef enum:
    INTENT = 1
    OUTCOME = 2
    ARRIVAL = 3
    RECORD = 64

cdef struct Record:
    # As smtpsource.ledger.records has it; on a machine whose bytes are in that order.
    unsigned char kind
    unsigned char flag
    unsigned short index
    unsigned int code
    unsigned long long run
    unsigned long long number
    long long time
    unsigned long long address
    unsigned long long raw
    unsigned long long canonical
    unsigned int size
    unsigned int session

cdef unsigned int _crcTable[256]


cdef int _makeTable() except -1:
    """
    What CRC-32 needs, as zlib has it.
    """
    cdef unsigned int value, number
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320U if value & 1 else 0)
        _crcTable[number] = value
    return 0


_makeTable()


cdef unsigned int _crc(unsigned int before, const char *text, Py_ssize_t size) noexcept nogil:
    """
    CRC-32, as zlib has it.

    @param before: that of what comes before the text; 0 is nothing.
    """
    cdef unsigned int value = ~before
    cdef Py_ssize_t at
    for at in range(size):
        value = (value >> 8) ^ _crcTable[(value ^ <unsigned char>text[at]) & 0xFF]
    return ~value


cdef inline long long _steadyNanoseconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <long long>now.tv_sec * 1000000000 + now.tv_nsec


# -- The sink's ledger

# Who overrides one of these has the reference's way; these, and those of a session that has no ledger.
cdef tuple _OF_LEDGERED = (*_OF_SINK, "_contentCame", "_newContent", "_writeDown", "command_MAIL", "command_RCPT")

cdef enum:
    # Records that are written at once, and messages that they are of.
    ARRIVALS = 512
    MESSAGES = 256
    # Of contents that are taken here.
    LONGEST_CONTENT = 65536

cdef bytes _full

cdef struct Arrivals:
    # What is to be written before the replies, and of each message where its reply is and how many recipients it has.
    Py_ssize_t size
    Py_ssize_t messages
    Py_ssize_t places[MESSAGES]
    Py_ssize_t recipients[MESSAGES]
    Record each[ARRIVALS]


cdef int _hexadecimal(const char *text, Py_ssize_t size, unsigned long long *value) noexcept nogil:
    """
    Read so many small hexadecimal digits.

    @return: 0 if they are none.
    """
    cdef Py_ssize_t at
    value[0] = 0
    for at in range(size):
        if c"0" <= text[at] <= c"9":
            value[0] = value[0] << 4 | <unsigned long long>(text[at] - 48)
        elif c"a" <= text[at] <= c"f":
            value[0] = value[0] << 4 | <unsigned long long>(text[at] - 87)
        else:
            return 0
    return 1


cdef bint _readId(const char *text, Py_ssize_t size, Record *arrival) noexcept nogil:
    """
    Read the value of the header that has the id.

    @return: C{False} if it is not as usual.
    """
    cdef Py_ssize_t at = 0, start, digits
    cdef unsigned long long number = 0, check
    while at < size and (text[at] == c" " or text[at] == c"\t"):
        at += 1
    start = at
    if size - at < 27 or not _hexadecimal(text + at, 16, &arrival.run) or text[at + 16] != c"-":
        return False
    at += 17
    digits = at
    while at < size and c"0" <= text[at] <= c"9":
        number = number * 10 + (text[at] - 48)
        at += 1
    if not 1 <= at - digits <= 18 or size - at != 9 or text[at] != c"-":
        return False
    if not _hexadecimal(text + at + 1, 8, &check) or check != _crc(0, text + start, at - start):
        return False
    arrival.number = number
    return True


cdef bint _isStuffed(const char *text, Py_ssize_t size) noexcept nogil:
    """
    Is there a dot at the beginning of a line?
    """
    cdef const char *dot = <const char *>memchr(text, c".", size)
    while dot != NULL:
        if dot - text < 2 or ((dot - 1)[0] == c"\n" and (dot - 2)[0] == c"\r"):
            return True
        dot = <const char *>memchr(dot + 1, c".", text + size - dot - 1)
    return False


cdef bint _mayHaveId(const char *text, Py_ssize_t size) noexcept nogil:
    """
    Are there 16 hexadecimal digits anywhere with a hyphen after them, as ids begin?
    """
    cdef const char *hyphen = <const char *>memchr(text, c"-", size)
    cdef Py_ssize_t digits
    while hyphen != NULL:
        digits = 0
        while digits < 16 and hyphen - text > digits:
            if not (c"0" <= (hyphen - digits - 1)[0] <= c"9" or c"a" <= (hyphen - digits - 1)[0] <= c"f"):
                break
            digits += 1
        if digits == 16:
            return True
        hyphen = <const char *>memchr(hyphen + 1, c"-", text + size - hyphen - 1)
    return False


cdef Py_ssize_t _readHead(const char *text, Py_ssize_t size, Record *arrival) noexcept nogil:
    """
    Look for the id in the head of a message, and see that its body is not encoded.

    @return: the size of the head, with the end of its last line; 0 if it is not as usual.
    """
    cdef const char *line = text
    cdef const char *end
    cdef bint isFound = False
    while line < text + size:
        end = <const char *>memchr(line, c"\n", text + size - line)
        if end == NULL or end == line or (end - 1)[0] != c"\r":
            return 0
        if end - line == 1:
            # Who has no such header may have the id elsewhere.
            return line - text if isFound or not _mayHaveId(text, line - text) else 0
        if (line[0] == c"c" or line[0] == c"C") and end - line >= 9 and not strncasecmp(line, b"content-t", 9):
            return 0
        if (
            not isFound
            and (line[0] == c"x" or line[0] == c"X")
            and end - line >= 16
            and not strncasecmp(line, b"x-smtpsource-id:", 16)
        ):
            isFound = True
            if not _readId(line + 16, end - line - 17, arrival):
                return 0
        line = end + 1
    return 0


cdef class SinkLedger:
    """
    See L{smtpsource.sink.keeping.ledger.SinkLedger}.
    """

    cdef public int descriptor
    cdef public bint isQuiet
    cdef public bytes lastBody
    cdef public object lastCoding
    cdef public unsigned long long lastRaw
    cdef public unsigned long long lastCanonical
    # The path that was looked up last, and what came of it.
    cdef bytes lastPath
    cdef tuple lastRecipient
    # What waits to be written along with the next records.
    cdef bytearray waiting

    cdef tuple recipientOf(self, const char *path, Py_ssize_t size):
        """
        What C{recipient} says of a path without brackets, without parameters.
        """
        cdef bytes text
        if (
            self.lastPath is None
            or PyBytes_GET_SIZE(self.lastPath) != size
            or memcmp(PyBytes_AS_STRING(self.lastPath), path, size)
        ):
            text = PyBytes_FromStringAndSize(path, size)
            self.lastRecipient = (self.address(text), 0)
            self.lastPath = text
        return self.lastRecipient

    cdef int digest(self, const char *head, Py_ssize_t headSize, const char *body, Py_ssize_t size) except -1:
        """
        Have the digests of a body that is not encoded in C{lastRaw} and C{lastCanonical}.
        """
        if (
            self.lastCoding is not None
            or PyBytes_GET_SIZE(self.lastBody) != size
            or memcmp(PyBytes_AS_STRING(self.lastBody), body, size)
        ):
            self.digestsOf(PyBytes_FromStringAndSize(head, headSize), PyBytes_FromStringAndSize(body, size))
        return 0

    cdef int write(self, const Record *arrivals, Py_ssize_t number) except -1:
        """
        What C{put} does.
        """
        cdef size_t size = number * RECORD
        cdef ssize_t written
        if self.waiting is None and self._book is not None:
            self.waiting = self._book._waiting
        if self.descriptor < 0 or self.waiting is None or len(self.waiting):
            self.put(PyBytes_FromStringAndSize(<const char *>arrivals, size))
            return 0
        self.isQuiet = False
        written = c_write(self.descriptor, arrivals, size)
        if written == <ssize_t>size:
            return 0
        if written > 0:
            # Records have their places by their size.
            ftruncate(self.descriptor, lseek(self.descriptor, 0, SEEK_END) - written)
        self.put(PyBytes_FromStringAndSize(<const char *>arrivals, size))
        return 0


cdef class LedgeredProtocol(SMTPSinkProtocol):
    """
    See L{smtpsource.sink.ledgered.LedgeredProtocol}.
    """

    cdef public object ledger
    cdef public list rcpts
    cdef public object _content
    cdef public bytes mail
    cdef public bint isReport
    cdef public bint isNamed
    cdef public Py_ssize_t unseen
    cdef public long long session

    def __cinit__(self):
        global _full
        if _full is None:
            from smtpsource.sink.protocol import FULL as _full
        self.rcpts = []
        self.mail = b""
        self.plain = SMTPSOURCE_LITTLE_ENDIAN and _isPlain(type(self), LedgeredProtocol, _OF_LEDGERED, 5)

    cdef int received(self, const char *text, Py_ssize_t size, bytes data) except -1:
        if size:
            # Who says more has read what was said before.
            self.unseen = 0
        if data is None and not (self.line_mode and memchr(text, c"\n", size) == text + size - 1):
            # More is called here than there, and what was read may be gone then.
            data = PyBytes_FromStringAndSize(text, size)
            text = PyBytes_AS_STRING(data)
        return SMTPSinkProtocol.received(self, text, size, data)

    cdef bytes answerLine(self, const char *text, Py_ssize_t size, SinkCounts counts):
        cdef bytes reply
        cdef Py_ssize_t at
        if not isinstance(self.ledger, SinkLedger):
            return None
        reply = SMTPSinkProtocol.answerLine(self, text, size, counts)
        if reply is _mailOk:
            at = 11 if text[10] == c" " else 10
            self.beginEnvelope(text[at + 1] == c">")
        elif reply is _rcptOk:
            at = 10 if text[8] == c" " else 9
            self.rcpts.append((<SinkLedger>self.ledger).recipientOf(text + at, size - 3 - at))
        return reply

    cdef int beginEnvelope(self, bint isReport) except -1:
        """
        MAIL was accepted.
        """
        self.mail = b""
        self.isReport = isReport
        self.rcpts = []
        self._content = None
        return 0

    cdef Py_ssize_t beginMessage(self, const char *text, Py_ssize_t size, Replies *replies) except -1:
        cdef Py_ssize_t end = SMTPSinkProtocol.beginMessage(self, text, size, replies), at, path
        cdef SinkLedger ledger = <SinkLedger>self.ledger
        if not end:
            return 0
        self.beginEnvelope(text[11] == c">")
        path = <const char *>memchr(text, c">", end) - text
        at = <const char *>memchr(text, c"\n", end) - text + 1
        if at - path > 3:
            self.mail = text[path:at]
        while end - at >= 9 and not memcmp(text + at, b"RCPT TO:<", 9):
            path = at + 9
            at = <const char *>memchr(text + path, c">", end - path) - text
            self.rcpts.append(ledger.recipientOf(text + path, at - path))
            at += 3
        return end

    cdef bytes answerAll(
        self, const char *text, Py_ssize_t size, bytes data, Replies *replies, SinkCounts counts
    ):
        cdef Py_ssize_t at = 0, end
        cdef Arrivals arrivals
        arrivals.size = arrivals.messages = 0
        if not isinstance(self.ledger, SinkLedger):
            return None
        while at < size:
            if self.line_mode:
                end = self.beginMessage(text + at, size - at, replies)
                if not end:
                    break
                at += end
            elif not self._octets:
                if PyBytes_GET_SIZE(self._tail) > 4:
                    break
                end = _endOfContent(self._tail, text + at, size - at)
                if not end:
                    self._contentCame(data, at, size)
                    self.keepTail(text + at, size - at)
                    at = size
                    break
                if not self.mayComplete(replies, counts):
                    break
                if not self.arrived(text + at, end, True, replies, counts, &arrivals):
                    self.settle(replies, counts, &arrivals)
                    self._contentCame(data, at, at + end)
                    self.line_mode = 1
                    _add(replies, self._contentReceived())
                at += end
            elif self._octets > <unsigned long long>(size - at):
                self._contentCame(data, at, size)
                self._octets -= size - at
                at = size
                break
            else:
                if self._refusal is not None or not self._isLast or not self.mayComplete(replies, counts):
                    break
                end = self._octets
                if self.arrived(text + at, end, False, replies, counts, &arrivals):
                    self._octets = 0
                    self._chunked = False
                    counts.chunks += 1
                else:
                    self.settle(replies, counts, &arrivals)
                    self._contentCame(data, at, at + end)
                    self._octets = 0
                    self.line_mode = 1
                    _add(replies, self._chunkReceived())
                at += end
        self.settle(replies, counts, &arrivals)
        return None if not at and size else PyBytes_FromStringAndSize(text + at, size - at)

    cdef bint mayComplete(self, Replies *replies, SinkCounts counts) except -1:
        if self.lmtp and self.recipients > 80:
            return False
        return SMTPSinkProtocol.mayComplete(self, replies, counts)

    cdef bint arrived(
        self, const char *text, Py_ssize_t size, bint isStuffed, Replies *replies, SinkCounts counts,
        Arrivals *arrivals
    ) except -1:
        """
        Take a content that has come in one piece, if it is as usual.

        @return: C{False} if it is not, and nothing was done.
        """
        cdef Py_ssize_t head, number, at
        cdef Record arrival
        cdef SinkLedger ledger = <SinkLedger>self.ledger
        cdef bytes mail = self.mail
        number = PyList_GET_SIZE(self.rcpts)
        if (
            self._content is not None
            or self.isReport
            or size > LONGEST_CONTENT
            or not number
            or arrivals.size + number > ARRIVALS
            or arrivals.messages >= MESSAGES
            or not size
        ):
            return False
        arrival.size = size
        if isStuffed:
            size = arrival.size = size - 3
            if _isStuffed(text, size):
                return False
        arrival.run = arrival.number = 0
        head = _readHead(text, size, &arrival)
        if not head or (not arrival.number and _mayHaveId(PyBytes_AS_STRING(mail), PyBytes_GET_SIZE(mail))):
            return False
        ledger.digest(text, head, text + head + 2, size - head - 2)
        arrival.kind = ARRIVAL
        arrival.flag = arrival.index = 0
        arrival.code = 250
        arrival.time = _steadyNanoseconds()
        arrival.raw = ledger.lastRaw
        arrival.canonical = ledger.lastCanonical
        arrival.session = self.session
        for at in range(number):
            address, original = <tuple>PyList_GET_ITEM(self.rcpts, at)
            if original:
                return False
            arrival.address = address
            arrivals.each[arrivals.size + at] = arrival
        arrivals.size += number
        arrivals.places[arrivals.messages] = replies.size
        arrivals.recipients[arrivals.messages] = number
        arrivals.messages += 1
        self.complete(replies, counts)
        return True

    cdef int settle(self, Replies *replies, SinkCounts counts, Arrivals *arrivals) except -1:
        """
        Write what has arrived; or refuse it, if that is not possible.
        """
        cdef Py_ssize_t number
        if not arrivals.messages:
            return 0
        try:
            if not self.isNamed:
                self.isNamed = True
                self.ledger.named(self.session, self._client())
            (<SinkLedger>self.ledger).write(arrivals.each, arrivals.size)
            self.unseen += arrivals.size
        except OSError as e:
            (<SinkLedger>self.ledger).lastPath = None
            self.refuseAll(replies, counts, arrivals)
            for number in range(arrivals.messages):
                self._noRoom(e)
        arrivals.size = arrivals.messages = 0
        return 0

    cdef int refuseAll(self, Replies *replies, SinkCounts counts, Arrivals *arrivals) except -1:
        """
        Put refusals in the place of the replies to what was to be accepted.
        """
        cdef bytes before = PyBytes_FromStringAndSize(replies.text, replies.size), usual
        cdef Py_ssize_t number, at = 0, place, times
        usual = _delivered if self.lmtp else _ok
        replies.size = 0
        for number in range(arrivals.messages):
            counts.messages -= 1
            counts.recipients -= arrivals.recipients[number]
            place = arrivals.places[number]
            times = arrivals.recipients[number] if self.lmtp else 1
            _add(replies, before[at:place])
            _add(replies, _full * times)
            at = place + PyBytes_GET_SIZE(usual) * times
        _add(replies, before[at:])
        return 0


cdef class _LeanPortMixin:
    """
    See L{smtpsource.net.lean.ports._LeanPortMixin}.
    """

    cdef bint plain

    def __cinit__(self):
        global _eagerServer
        if _eagerServer is None:
            from smtpsource.net.lean.transports import EagerServer

            _eagerServer = EagerServer
        self.plain = _isPlain(type(self), _LeanPortMixin, ("doRead", "_accepted"))

    def doRead(self):
        cdef Turns turns
        cdef int fd, number
        cdef Py_ssize_t limit, accepted = 0
        cdef sockaddr_in address
        cdef socklen_t size
        reactor = self.reactor
        held = getattr(reactor, "_turns", None)
        if (
            not self.plain
            or self.addressFamily != AF_INET
            or self.transport is not _eagerServer
            or not isinstance(held, Turns)
            or not (<Turns>held).isOurs()
        ):
            super(_LeanPortMixin, self).doRead()
            return
        turns = <Turns>held
        fd = self.fileno()
        limit = self.numberAccepts
        try:
            while accepted < limit:
                size = sizeof(address)
                number = accept4(fd, <sockaddr *>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
                if number < 0:
                    if errno == EAGAIN:
                        break
                    if errno == EINTR:
                        PyErr_CheckSignals()
                        continue
                    super(_LeanPortMixin, self).doRead()  # which meets the same
                    return
                accepted += 1
                self.take(number, &address, turns, reactor)
            self.numberAccepts = min(limit + 20, MOST_ACCEPTED) if accepted == limit else max(1, accepted)
        except BaseException as e:
            reactor.logFailure(e)

    cdef int take(self, int fd, sockaddr_in *address, Turns turns, reactor) except -1:
        """
        What C{_accepted} does.
        """
        cdef EagerDescriptor transport
        try:
            transport = <EagerDescriptor?>_eagerServer.__new__(_eagerServer)
        except BaseException:
            c_close(fd)
            raise
        transport.fd = fd
        transport.isBare = True  # from here on it closes it
        transport.address = address[0]
        factory = self.factory
        build = factory.buildProtocol
        if getattr(build, "__func__", None) is _theirBuildProtocol and factory.protocol is not None:
            protocol = factory.protocol()
            protocol.factory = factory
        else:
            protocol = build(self._buildAddr(transport.client))
        if protocol is None:
            return 0
        number = self.sessionno
        self.sessionno = number + 1
        transport.reactor = reactor
        transport.turns = turns
        transport._tempDataBuffer = []
        transport.protocol = protocol
        transport.server = self
        transport.sessionno = number
        turns.watchReading(fd, transport)
        transport.connected = 1
        protocol.makeConnection(transport)
        return 0


# -- Connecting

cdef class _LeanClientMixin(EagerDescriptor):
    """
    See L{smtpsource.net.lean.clients._LeanClientMixin}.
    """

    cdef public object failure
    cdef public object _retry
    cdef public bint begun
    cdef public bint _established

    def __init__(self, connector, reactor):
        cdef int fd
        if self.plain and self.fd < 0 and self.addressFamily == AF_INET:
            fd = c_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
            if fd >= 0:
                self.fd = fd
                self.isBare = True
                self.connector = connector
                self.reactor = reactor
                self.protocol = None
                self._tempDataBuffer = []
                return
        super(_LeanClientMixin, self).__init__(connector, reactor)

    def begin(self):
        cdef Turns turns = None
        cdef sockaddr_in address
        cdef int number = 0
        real = self.realAddress
        if self.plain and self.isBare and self.failure is None and self._retry is None:
            turns = self.turnsOf()
        if turns is None or not turns.isOurs() or not _addressOf(real, &address):
            super(_LeanClientMixin, self).begin()
            return
        self.begun = True
        if c_connect(self.fd, <sockaddr *>&address, sizeof(address)) < 0:
            number = errno
            if number == EAGAIN or number == EINTR:
                super(_LeanClientMixin, self).begin()  # which meets the same
                return
            if number == EINPROGRESS:
                try:
                    self.reactor.watchConnecting(self.fd, self)
                    return
                except Exception as e:
                    number = max(0, getattr(e, "errno", None) or 0)
                    self.failure = e
            if number:
                from twisted.internet.error import getConnectError

                self.failure = getConnectError((number, os.strerror(number)))
        else:
            self._established = True
        self.reactor.finishSoon(self)

    def doWrite(self):
        if self.connected:
            return super(_LeanClientMixin, self).doWrite()
        if self.connector.state == "connecting":
            self._connected()

    def doSoon(self):
        if self.connected:
            return EagerDescriptor.doSoon(self)
        return super(_LeanClientMixin, self).doSoon()

    def _connected(self):
        cdef Turns turns = self.turnsOf() if self.plain and self.fd >= 0 else None
        if turns is None or not turns.isOurs():
            super(_LeanClientMixin, self)._connected()
            return
        protocol = self.connector.buildProtocol(self._peer)
        if protocol is None:
            from smtpsource.net.lean import clients

            self.protocol = clients.Protocol()
            self.connected = 1
            self.loseConnection()
            return
        self.protocol = protocol
        self.connected = 1
        turns.watchReading(self.fd, self)
        protocol.makeConnection(self)

    def connectionLost(self, reason):
        if not self.connected:
            super(_LeanClientMixin, self).connectionLost(reason)
            return
        EagerDescriptor.connectionLost(self, reason)
        self.connector.connectionLost(reason)


cdef bint _addressOf(real, sockaddr_in *address) except -1:
    """
    Make of an address what connect(2) wants, if it is a usual one.
    """
    if type(real) is not tuple or len(<tuple>real) != 2:
        return False
    host, port = real
    if type(host) is not str or type(port) is not int or not 0 <= port <= 65535 or not host.isascii() or "\0" in host:
        return False
    cdef bytes text = (<str>host).encode("ascii")
    memset(address, 0, sizeof(sockaddr_in))
    address.sin_family = AF_INET
    address.sin_port = htons(port)
    return inet_pton(AF_INET, PyBytes_AS_STRING(text), &address.sin_addr) == 1


# -- What is drawn for messages

cdef unsigned long long STEP = 0x9E3779B97F4A7C15ULL
cdef unsigned long long NEXT = STEP * ((<unsigned long long>1 << 40) + 1)


cdef class Draws:
    """
    See L{smtpsource.messages.draws.Draws}.
    """

    cdef public unsigned long long _key
    cdef public unsigned long long _state

    def at(self, long long number):
        self._state = self._key + <unsigned long long>number * STEP

    def random(self):
        return self._random()

    def normal(self):
        cdef double radius = sqrt(-2.0 * log(1.0 - self._random()))
        return radius * cos(2.0 * M_PI * self._random())

    def getrandbits(self, int number):
        if not 0 < number <= 64:
            return super(Draws, self).getrandbits(number)
        return self._word() & (0xFFFFFFFFFFFFFFFFULL >> (64 - number))

    def _bits(self):
        return self._word()

    cdef inline double _random(self) noexcept:
        return <double>(self._word() >> 11) * (1.0 / 9007199254740992.0)

    cdef inline unsigned long long _word(self) noexcept:
        cdef unsigned long long mixed
        self._state += NEXT
        mixed = self._state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL
        return mixed ^ (mixed >> 31)


# -- The generator's ledger

cdef class Entries:
    """
    See L{smtpsource.ledger.entries.Entries}.
    """

    cdef bytearray _room
    cdef Py_ssize_t _used
    cdef public object _waiting
    cdef public bint timed
    cdef public int descriptor
    cdef public object _find
    cdef public object _writeSurely
    cdef public object _setTimer
    cdef public tuple _commands
    cdef public tuple _addresses
    cdef public unsigned long long _run
    cdef public bytes _prefix
    cdef public unsigned int _check

    def __cinit__(self):
        self.descriptor = -1
        self._room = bytearray(16 * RECORD)

    def idOf(self, long long number):
        cdef char digits[20]
        cdef int size = 0, place
        cdef unsigned int check
        cdef Py_ssize_t prefix
        cdef bytes found
        cdef char *text
        if number < 0 or self._prefix is None:
            return super(Entries, self).idOf(number)
        while True:
            size += 1
            digits[20 - size] = 48 + number % 10
            number //= 10
            if not number:
                break
        prefix = PyBytes_GET_SIZE(self._prefix)
        found = PyBytes_FromStringAndSize(NULL, prefix + size + 9)
        text = PyBytes_AS_STRING(found)
        memcpy(text, PyBytes_AS_STRING(self._prefix), prefix)
        memcpy(text + prefix, digits + 20 - size, size)
        check = _crc(self._check, digits + 20 - size, size)
        text += prefix + size
        text[0] = c"-"
        for place in range(8):
            text[1 + place] = (<const char *>b"0123456789abcdef")[(check >> (28 - 4 * place)) & 0xF]
        return found

    cdef Record *room(self, Py_ssize_t records) except NULL:
        """
        Place for so many more records, which are all 0.
        """
        cdef char *place
        self.makeRoom(records * RECORD)
        place = PyByteArray_AS_STRING(self._room) + self._used
        memset(place, 0, records * RECORD)
        self._used += records * RECORD
        return <Record *>place

    cdef int makeRoom(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t wanted = self._used + size
        if wanted > PyByteArray_GET_SIZE(self._room):
            PyByteArray_Resize(self._room, 2 * wanted)
        return 0

    def add(self, bytes octets not None):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(octets)
        self.makeRoom(size)
        memcpy(PyByteArray_AS_STRING(self._room) + self._used, PyBytes_AS_STRING(octets), size)
        self._used += size

    def taken(self):
        found = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(self._room), self._used)
        self._used = 0
        return found

    def intend(self, message, tuple commands not None, tuple digests not None):
        cdef long long attempt = message.attempt
        if attempt > 0:
            return
        if not SMTPSOURCE_LITTLE_ENDIAN or len(digests) != 3:
            super(Entries, self).intend(message, commands, digests)
            return
        if commands is not self._commands:
            self._addresses = self._find(commands)
            self._commands = commands
        if not self._addresses:
            super(Entries, self).intend(message, commands, digests)
            return
        attempt = 1 - attempt
        cdef unsigned long long number = message.number, raw = digests[0], canonical = digests[1]
        cdef unsigned int size = min(<unsigned long long>digests[2], 0xFFFFFFFFULL)
        cdef tuple numbers = self._addresses
        cdef Py_ssize_t place
        message.attempt = attempt
        cdef long long now = _steadyNanoseconds()
        cdef Py_ssize_t before = self._used
        cdef Record *record = self.room(len(numbers))
        try:
            for place in range(len(numbers)):
                record.kind = INTENT
                record.flag = min(attempt, 255)
                record.index = min(place, 0xFFFE)
                record.run = self._run
                record.number = number
                record.time = now
                record.address = <unsigned long long>numbers[place]
                record.raw = raw
                record.canonical = canonical
                record.size = size
                record += 1
        except BaseException:
            self._used = before
            raise

    def outcome(self, number, unsigned char flag, unsigned short index, unsigned int code, due, session):
        if not SMTPSOURCE_LITTLE_ENDIAN:
            super(Entries, self).outcome(number, flag, index, code, due, session)
            return
        cdef unsigned long long which = number, ofSchedule = due
        cdef unsigned int ofSession = session
        cdef Record *record = self.room(1)
        record.kind = OUTCOME
        record.flag = flag
        record.index = index
        record.code = code
        record.run = self._run
        record.number = which
        record.time = _steadyNanoseconds()
        record.raw = ofSchedule
        record.session = ofSession
        if not self.timed:
            self.timed = True
            self._setTimer()

    def write(self):
        cdef Py_ssize_t written
        if self.descriptor < 0:
            super(Entries, self).write()
            return
        if not self._used:
            return
        written = c_write(self.descriptor, PyByteArray_AS_STRING(self._room), self._used)
        if written == self._used:
            self._used = 0
            return
        if written > 0:
            # All of it or nothing, and the reference says what is wrong.
            os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size - written)
        super(Entries, self).write()
