// What a client in Go takes for TLS handshakes, beside ours: so many connections, each with the greeting and QUIT.
//
//	go run tlsclient.go HOST:PORT CONNECTIONS PARALLEL 1.2|1.3 full|resume
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

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	address := os.Args[1]
	connections, err := strconv.Atoi(os.Args[2])
	check(err)
	parallel, err := strconv.Atoi(os.Args[3])
	check(err)
	config := &tls.Config{InsecureSkipVerify: true, MaxVersion: map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[4]]}
	if os.Args[5] == "resume" {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	var wait sync.WaitGroup
	var lock sync.Mutex
	resumed := 0
	begun := time.Now()
	for worker := 0; worker < parallel; worker++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for count := 0; count < connections/parallel; count++ {
				connection, err := tls.Dial("tcp", address, config)
				check(err)
				reader := bufio.NewReader(connection)
				_, err = reader.ReadString('\n')
				check(err)
				_, err = connection.Write([]byte("QUIT\r\n"))
				check(err)
				_, err = reader.ReadString('\n')
				check(err)
				if connection.ConnectionState().DidResume {
					lock.Lock()
					resumed++
					lock.Unlock()
				}
				connection.Close()
			}
		}()
	}
	wait.Wait()
	elapsed := time.Since(begun)
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	fmt.Printf("%d connections, %d resumed, %.0f a second, %.0f us of CPU each\n",
		connections, resumed, float64(connections)/elapsed.Seconds(), float64(cpu.Microseconds())/float64(connections))
}
