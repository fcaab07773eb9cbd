// What a client in Go takes for TLS, beside ours.
//
//	go run tlsclient.go HOST:PORT COUNT PARALLEL 1.2|1.3 full|resume [keep|new]
//
// Without the last word: so many connections, each with the greeting and QUIT. With it: so many messages, those of a
// worker over one connection, or each over a new one; it checks no reply, and a body is four short lines.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const content = "From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n" +
	"Message-Id: <1234.1234.1234@localhost>\r\n\r\n" +
	"XXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\n.\r\n"

var transaction = []string{"MAIL FROM:<foo@localhost>\r\n", "RCPT TO:<foo@localhost>\r\n", "DATA\r\n", content}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A connection, and the last line of each reply.
type session struct {
	connection *tls.Conn
	reader     *bufio.Reader
}

func open(address string, config *tls.Config) session {
	connection, err := tls.Dial("tcp", address, config)
	check(err)
	s := session{connection, bufio.NewReader(connection)}
	s.reply()
	return s
}

func (s session) reply() {
	for {
		line, err := s.reader.ReadSlice('\n')
		check(err)
		if len(line) < 4 || line[3] != '-' {
			return
		}
	}
}

func (s session) say(text string) {
	_, err := s.connection.Write([]byte(text))
	check(err)
	s.reply()
}

func main() {
	address := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	parallel, err := strconv.Atoi(os.Args[3])
	check(err)
	config := &tls.Config{InsecureSkipVerify: true, MaxVersion: map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[4]]}
	if os.Args[5] == "resume" {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	messages, connections := 0, count/parallel
	if len(os.Args) > 6 {
		messages = 1
		if os.Args[6] == "keep" {
			messages, connections = connections, 1
		}
	}
	var wait sync.WaitGroup
	var lock sync.Mutex
	resumed := 0
	begun := time.Now()
	for worker := 0; worker < parallel; worker++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for number := 0; number < connections; number++ {
				s := open(address, config)
				if messages > 0 {
					s.say("HELO localhost\r\n")
				}
				for message := 0; message < messages; message++ {
					for _, text := range transaction {
						s.say(text)
					}
				}
				s.say("QUIT\r\n")
				if s.connection.ConnectionState().DidResume {
					lock.Lock()
					resumed++
					lock.Unlock()
				}
				s.connection.Close()
			}
		}()
	}
	wait.Wait()
	elapsed := time.Since(begun)
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	what := "connections"
	if messages > 0 {
		what = "messages"
	}
	fmt.Printf("%d %s, %d resumed, %.0f a second, %.0f us of CPU each\n",
		count, what, resumed, float64(count)/elapsed.Seconds(), float64(cpu.Microseconds())/float64(count))
}
