package spv

import (
	"sync"
	"time"

	"ancre/internal/btclogslog"

	"github.com/btcsuite/btcwallet/chain"
	"github.com/lightninglabs/neutrino"
)

const (
	// userAgent is the name that is sent to peers.
	userAgent = "ancre"

	// filterCache bounds the filters kept in memory, in bytes. It holds some 200 filters of
	// mainnet. neutrino's own default (31 MB) is meant for rescans of thousands of blocks.
	filterCache = 4 << 20

	// blockCache bounds the blocks kept in memory, in bytes on the wire. Parsed, they take about
	// three times as much. Wallet, batcher and fee estimate look at the same new block within
	// seconds, so four blocks of mainnet are enough.
	blockCache = 8 << 20

	// reconnectDelay is neutrino's pause before it dials a lost peer again. It does not grow: the
	// dialer keeps trying by itself, so neutrino sees one attempt only.
	reconnectDelay = time.Second

	// banDuration is how long a discovered peer stays banned. Bans of configured peers end sooner
	// (see liftBan). neutrino's own ban of a day is too long for what may have been a slow answer,
	// and a peer that lies is found out again at once.
	banDuration = time.Hour

	// maxPeers bounds the connections. neutrino looks for eight peers besides the configured ones.
	maxPeers = 32

	// headersOnlyTimeout is how long neutrino waits for an answer about filters in headers-only
	// mode, where there never is one. It waits for that even when it stops. It applies to a process
	// whose first client is for headers only. In any other process, neutrino's own 10 s applies.
	headersOnlyTimeout = 200 * time.Millisecond

	// broadcastTimeout is for neutrino's own broadcaster, which is not used here.
	broadcastTimeout = 5 * time.Second
)

// libraries sets the package-level variables of neutrino. They are set once, before its first
// goroutine exists. The user agent is set at each Open, under the lock.
var libraries struct {
	once sync.Once
	sync.Mutex
	log btclogslog.Forwarder // writes to the logger of the client that was opened last
}

// newChainService makes neutrino's service on the client's database, with these peers. It does not
// start it.
func newChainService(c *Client, peers []string) (*neutrino.ChainService, error) {
	libraries.Lock()
	defer libraries.Unlock()
	libraries.log.Set(c.log)
	libraries.once.Do(func() {
		l := libraries.log.Logger()
		neutrino.UseLogger(l)
		chain.UseLogger(l)
		neutrino.MaxPeers = maxPeers
		neutrino.BanDuration = banDuration
		neutrino.ConnectionRetryInterval = reconnectDelay
		neutrino.UserAgentName = userAgent
		if c.cfg.HeadersOnly {
			neutrino.QueryTimeout = headersOnlyTimeout
		}
	})
	neutrino.UserAgentVersion = c.cfg.UserAgentVersion

	cfg := neutrino.Config{
		DataDir:          c.cfg.Dir,
		Database:         c.db,
		ChainParams:      c.params,
		Dialer:           c.peers.dial,
		NameResolver:     c.peers.resolve,
		FilterCacheSize:  filterCache,
		BlockCacheSize:   blockCache,
		BroadcastTimeout: broadcastTimeout,
	}
	if len(c.cfg.Connect) > 0 {
		cfg.ConnectPeers = peers
	} else {
		cfg.AddPeers = peers
	}
	return neutrino.NewChainService(cfg)
}
