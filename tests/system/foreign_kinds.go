// SPDX-License-Identifier: BSD-3-Clause

// Go's end of what happens between programs: see kinds.c. Its first argument is a name, too.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func answer(c net.Conn) {
	line, err := bufio.NewReader(c).ReadString('\n')
	check(err)
	fmt.Fprintf(c, "%s got %s", os.Args[1], line)
	check(c.Close())
}

func file(number string) *os.File {
	n, err := strconv.Atoi(number)
	check(err)
	return os.NewFile(uintptr(n), "inherited")
}

// Another program gets the listener as descriptor 3.
func spawn(address string, argv ...string) {
	l, err := net.Listen("tcp", address)
	check(err)
	f, err := l.(*net.TCPListener).File()
	check(err)
	check(l.Close())
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Run())
}

const soReusePort = 15

// Two listeners at one port; each connection is answered by either.
func reusePort(address string) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
		}); e != nil {
			return e
		}
		return err
	}}
	var all sync.WaitGroup
	for i := 0; i < 2; i++ {
		l, err := config.Listen(context.Background(), "tcp4", address)
		check(err)
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for {
				c, err := l.Accept()
				check(err)
				go answer(c)
			}
		}(i)
	}
	all.Wait()
}

func main() {
	switch os.Args[2] {
	case "inherited":
		c, err := net.FileConn(file(os.Args[3]))
		check(err)
		answer(c)
	case "listener":
		l, err := net.FileListener(file(os.Args[3]))
		check(err)
		c, err := l.Accept()
		check(err)
		answer(c)
	case "spawn":
		spawn(os.Args[3], os.Args[4:]...)
	case "reuseport":
		reusePort(os.Args[3])
	case "name":
		addrs, err := net.DefaultResolver.LookupIP(context.Background(), "ip4", os.Args[3])
		check(err)
		fmt.Println(addrs[0])
	}
}
