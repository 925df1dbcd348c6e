package spv

import (
	"sync"
	"time"

	"ancre/internal/btclogslog"

	"github.com/btcsuite/btcwallet/chain"
	"github.com/lightninglabs/neutrino"
)

const (
	// userAgent is the name that peers are told.
	userAgent = "ancre"

	// filterCache bounds the filters kept in memory, in bytes: some 200 of mainnet, four times the
	// blocks between two confirmations of an anchor. neutrino's own default (31 MB) serves rescans
	// of thousands of blocks.
	filterCache = 4 << 20

	// blockCache bounds the blocks kept in memory, in bytes on the wire; parsed they take about
	// three times that. Wallet, batcher and fee estimate look at the same new block within seconds;
	// four of mainnet are enough for that.
	blockCache = 8 << 20

	// reconnectDelay is neutrino's pause before it dials a lost peer again. It is not its growing
	// one: the dialer below keeps trying by itself, so that neutrino sees one attempt only.
	reconnectDelay = time.Second

	// banDuration is how long a discovered peer stays banned; those that are configured are spared
	// (see liftBan). neutrino's own day is too long for what may have been a slow answer, and one
	// that lies is found out again at once.
	banDuration = time.Hour

	// maxPeers bounds connections; neutrino looks for eight besides the configured ones.
	maxPeers = 32

	// unanswered is how long neutrino waits for what is never answered because only headers are
	// wanted: when it stops, it waits for that too. It counts where the process's first client is
	// for headers only; neutrino's own 10 s counts elsewhere.
	unanswered = 200 * time.Millisecond

	// broadcastTimeout is for neutrino's own way of sending, which is not used here.
	broadcastTimeout = 5 * time.Second
)

// libraries holds what neutrino wants as package-level variables: they are set once, before its
// first goroutine exists. The user agent is copied at each Open, under the lock.
var libraries struct {
	once sync.Once
	sync.Mutex
	log btclogslog.Forwarder // writes to the logger of the client that was opened last
}

// newChainService makes neutrino's service on the client's database, with the peers that are
// configured. It is not started.
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
			neutrino.QueryTimeout = unanswered
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
