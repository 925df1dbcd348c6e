package service

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// OutliveHangups logs each SIGHUP and goes on, until stop is called. The signal comes when the
// terminal is closed that the daemon was started from. bitcoind and nginx use it to open their logs
// anew or to read their configuration again: here the log is standard error, and a changed
// configuration needs a restart.
func OutliveHangups(log *slog.Logger, program string) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var told sync.WaitGroup
	told.Go(func() {
		for {
			select {
			case <-hangups:
				log.Info("SIGHUP: " + program + " continues; SIGTERM stops it, and a restart reads the configuration again")
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		signal.Ignore(syscall.SIGHUP) // what comes while the process ends, must not cut that short
		close(done)
		told.Wait()
	}
}
