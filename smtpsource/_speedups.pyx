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
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.string cimport memchr, memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import time
from select import epoll as _epoll_

from smtpsource.phases import TRANSACTION

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
    int EPOLLIN

# Who overrides one of these has the reference's way.
cdef tuple _OF_TRANSPORTS = ("write", "doRead")
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


cdef bint _isPlain(type kind, type twin, tuple names):
    """
    Does a class leave these methods as they are here and in the reference, and all attributes of the twin?
    """
    key = (kind, twin)
    found = _known.get(key)
    if found is None:
        found = _known[key] = _looksPlain(kind, twin, names)
    return found


def _looksPlain(kind, twin, names):
    order = kind.__mro__
    place = order.index(twin)
    # That of UNIX sockets is told apart by its mark.
    own = {*order[place : place + 2], *(one for one in order if "receivesDescriptors" in vars(one))}
    shadows = {name for name in vars(twin) if not name.startswith("__")}
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
    cdef const char *digits = PyBytes_AS_STRING(code)
    if PyBytes_GET_SIZE(code) != 3 or not (
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
    cdef bint plain

    def __cinit__(self):
        self._commands = ()
        self._atStart = True
        self.plain = _isPlain(type(self), OwedReplies, _OF_DIALOGUE)

    def dataReceived(self, data):
        if self.plain and type(data) is bytes:
            self.received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data)
        else:
            super(OwedReplies, self).dataReceived(data)

    def perform(self, Script script, bytes data=b"", tuple commands=(), now=None):
        cdef double time = self.now() if now is None else now
        if self._script is not None:
            self._following.append((script, time))
        else:
            self._script = script
            self._step = 0
            self._commands = commands
            self._written = self.lastActivity = time
        if PyBytes_GET_SIZE(data):
            self.send(data)
        return time

    cdef double now(self) except? -1:
        clock = self._clock
        if clock is _perfCounter or clock is _monotonic:
            return _steady()
        return clock()

    cdef int send(self, bytes data) except -1:
        """
        Write something, and count it.
        """
        cdef EagerDescriptor transport
        if isinstance(self._recorder, Recorder):
            (<Recorder>self._recorder).bytesSent += PyBytes_GET_SIZE(data)
        else:
            self._recorder.bytesSent += PyBytes_GET_SIZE(data)
        if isinstance(self.transport, EagerDescriptor):
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
            recorder.bytesReceived += size
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
                    recorder.bytesReceived += total - at
                    return b""
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
    cdef public object _sendmsgQueue
    cdef object _socket
    cdef object _protocol
    cdef int fd
    cdef bint hasProtocol
    cdef bint plain
    # File descriptors may come along.
    cdef bint hasAncillary

    def __cinit__(self):
        self.fd = -1
        self.hasAncillary = getattr(type(self), "receivesDescriptors", False)
        self.dataBuffer = b""
        self._sendmsgQueue = ()
        self.plain = _isPlain(type(self), EagerDescriptor, _OF_TRANSPORTS)

    @property
    def socket(self):
        if self._socket is None:
            raise AttributeError("socket")
        return self._socket

    @socket.setter
    def socket(self, value):
        self._socket = value
        self.fd = value.fileno()

    @socket.deleter
    def socket(self):
        if self._socket is None:
            raise AttributeError("socket")
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

    cdef bint isIdle(self):
        """
        Does nothing wait to be sent, and nobody to be asked for more?
        """
        return (
            self.fd >= 0
            and not self._tempDataLen
            and self.producer is None
            and len(self.dataBuffer) == 0
            and len(self._sendmsgQueue) == 0
        )

    cdef int sendNow(self, bytes data) except -1:
        """
        Send it, if nothing waits before it.
        """
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), sent
        if not self.connected or self._writeDisconnected or not size:
            return 0
        if not self.isIdle():
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
        if self.fd < 0:
            return super(EagerDescriptor, self).doRead()
        if self.hasAncillary:
            size = self.receiveWithAncillary()
        else:
            size = c_recv(self.fd, _room, ROOM, 0)
        if size > 0:
            protocol = self._protocol
            if isinstance(protocol, OwedReplies) and (<OwedReplies>protocol).plain:
                (<OwedReplies>protocol).received(_room, size, None)
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
    cdef object poller
    cdef int epfd

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
