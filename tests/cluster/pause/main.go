package main

import (
	"os"
	"os/signal"
	"syscall"
)

// Process 1 of a pod: it holds the pod's namespaces and ends when it is told to.
func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
