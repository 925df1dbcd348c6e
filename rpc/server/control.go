package server

import (
	"errors"
	"time"

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
	c.server.stop() // it only begins to stop: this answer is still sent
	return "ancred stopping", nil
}

func uptime(c *call) (any, error) { return c.server.uptimeSeconds(), nil }

func (s *Server) uptimeSeconds() int64 { return int64(time.Since(s.started) / time.Second) }
