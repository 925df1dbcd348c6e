package server

import (
	"errors"
	"strings"
	"time"

	"ancre/internal/humanize"
	"ancre/rpc"
)

func getInfo(c *call) (any, error) {
	info, err := c.Node.Info(c.ctx)
	if err != nil {
		return nil, err
	}
	info.UptimeSeconds = c.server.uptimeSeconds()
	if info.Warnings == nil {
		info.Warnings = []string{}
	}
	if info.Details == nil {
		info.Details = []rpc.Warning{}
	}
	if info.Chain.Peers == nil {
		info.Chain.Peers = []rpc.Peer{}
	}
	return info, nil
}

func backupDone(c *call) (any, error) {
	b := rpc.LastBackup{Taken: c.get("taken").time.UTC(), Digests: uint64(c.get("digests").number), File: humanize.ClipTo(c.get("file").text, maxReported),
		Rehearsed: c.get("rehearsed").flag, Copied: c.get("copied").flag}
	if c.Backups == nil {
		return nil, errNoBackups
	}
	return nil, c.Backups.Done(b)
}

func backupFailed(c *call) (any, error) {
	reason := strings.Join(strings.Fields(c.get("reason").text), " ")
	if reason == "" {
		return nil, errorf(rpc.CodeInvalidParameter, "reason: is empty; say what failed")
	}
	if c.Backups == nil {
		return nil, errNoBackups
	}
	return nil, c.Backups.Failed(humanize.ClipTo(reason, maxReported))
}

// maxReported is how much of a text about a backup is kept. getinfo repeats it in each answer.
const maxReported = 1000

var errNoBackups = errors.New("this server keeps no record of backups")

func testNotify(c *call) (any, error) { return c.Node.TestNotify(c.ctx) }

func help(c *call) (any, error) {
	if name := c.get("method"); name.set {
		return c.server.helpOn(name.text)
	}
	return c.server.helpList(), nil
}

func stop(c *call) (any, error) {
	if c.server.stop == nil {
		return nil, errors.New("this server cannot be stopped through the RPC")
	}
	c.server.log.Info("a client asks ancred to stop", "user", c.user)
	c.server.stop() // it only begins to stop: this answer is still sent
	return "ancred stopping", nil
}

func uptime(c *call) (any, error) { return c.server.uptimeSeconds(), nil }

func (s *Server) uptimeSeconds() int64 { return int64(time.Since(s.started) / time.Second) }
