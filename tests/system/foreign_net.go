// SPDX-License-Identifier: BSD-3-Clause

// What Go programs do with the network, on weir: "serve ADDRESS" is an HTTP server; "self" is
// client and server in one.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(ok bool, what ...any) {
	if !ok {
		panic(fmt.Sprint(what...))
	}
}

func handler(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		body, err := io.ReadAll(r.Body)
		check(err)
		w.Write(body)
		return
	}
	if r.URL.Path == "/slow" {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
		return
	}
	fmt.Fprintf(w, "a page of Go for %s\n", r.URL.Path)
}

func request(client *http.Client, base string, i, n int) {
	body := bytes.Repeat([]byte{byte(i)}, 100+i*977)
	for k := 0; k < n; k++ {
		answer, err := client.Post(base+"/echo", "text/plain", bytes.NewReader(body))
		check(err)
		got, err := io.ReadAll(answer.Body)
		check(err)
		answer.Body.Close()
		expect(bytes.Equal(got, body), "client ", i, ": ", len(got), " of ", len(body))
	}
}

// Many connections that are kept, and time-outs of some.
func web() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	server := &http.Server{Handler: http.HandlerFunc(handler)}
	go server.Serve(listener)
	base := "http://" + listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	var all sync.WaitGroup
	for i := 0; i < 200; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			request(client, base, i, 10)
		}(i)
	}
	all.Wait()
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", base+"/slow", nil)
			_, err := client.Do(r)
			expect(errors.Is(err, context.DeadlineExceeded), "time-out: ", err)
		}()
	}
	all.Wait()
	check(server.Shutdown(context.Background()))
	_, err = net.Dial("tcp", listener.Addr().String())
	expect(errors.Is(err, syscall.ECONNREFUSED), "a closed port: ", err)
}

func datagrams() {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:n], from)
		}
	}()
	c, err := net.Dial("udp", server.LocalAddr().String())
	check(err)
	buf := make([]byte, 2000)
	for i := 1; i < 100; i++ {
		_, err = c.Write(bytes.Repeat([]byte{byte(i)}, i*10))
		check(err)
		n, err := c.Read(buf)
		check(err)
		expect(n == i*10 && buf[n-1] == byte(i), "datagram ", i, ": ", n)
	}
	server.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = c.Read(buf)
	expect(err != nil, "nobody answers")
}

// A goroutine that never calls anything is preempted by signals; others go on.
func preempted() {
	stop := make(chan bool)
	for i := 0; i < 2; i++ {
		go func() {
			x := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				for k := 0; k < 200000000; k++ {
					x += k ^ x
				}
			}
		}()
	}
	web()
	close(stop)
}

func children() {
	self, err := os.Executable()
	check(err)
	for i := 0; i < 5; i++ {
		out, err := exec.Command(self, "child", fmt.Sprint(i)).CombinedOutput()
		check(err)
		expect(string(out) == fmt.Sprintf("child %d\n", i), "child: ", string(out))
	}
	out, err := exec.Command("sh", "-c", "echo $0; exit 3", "shell").Output()
	var status *exec.ExitError
	expect(errors.As(err, &status) && status.ExitCode() == 3, "status: ", err)
	expect(string(out) == "shell\n", "shell: ", string(out))
	_, err = exec.Command("/nonexistent/program").Output()
	expect(errors.Is(err, os.ErrNotExist), "not there: ", err)
}

func signals() {
	got := make(chan os.Signal, 10)
	signal.Notify(got, syscall.SIGUSR1)
	for i := 0; i < 5; i++ {
		check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
		expect(<-got == syscall.SIGUSR1, "signal")
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		check(http.ListenAndServe(os.Args[2], http.HandlerFunc(handler)))
	case "child":
		fmt.Println("child", os.Args[2])
	case "self":
		signals()
		datagrams()
		children()
		preempted()
		fmt.Println("all is well")
	}
}
