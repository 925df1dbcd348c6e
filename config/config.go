// Package config reads ancre.conf, the one file that the daemon and the command-line client share,
// and register.conf, that of the register.
//
// The client needs the daemon's address and cookie, but must not link the light client, the wallet
// and the store. So this package is apart from the daemon.
//
// The promise: every value that Load accepts is within its bounds. An error names the file, the
// line, the key, the value and what is allowed. Nothing in the file is silently ignored. Keys keep
// their names and meanings.
package config

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ancre/internal/atomicfile"
)

// Config is the whole configuration. Each field has a tag with the key that sets it.
type Config struct {
	DataDir string `toml:"datadir"` // directory of the networks' directories; may begin with ~/, see [Config.NetworkDir]
	Network string `toml:"network"` // one of Networks

	SPV      SPV      `toml:"spv"`
	Wallet   Wallet   `toml:"wallet"`
	Batch    Batch    `toml:"batch"`
	Anchor   Anchor   `toml:"anchor"`
	RPC      RPC      `toml:"rpc"`
	Calendar Calendar `toml:"calendar"`
	Log      Log      `toml:"log"`
	Metrics  Metrics  `toml:"metrics"`
	Notify   Notify   `toml:"notify"`
	Backup   Backup   `toml:"backup"`

	found found // how Flags.Load came to it
}

// SPV configures the light client. Peers are HOST or HOST:PORT. The default port is that of the
// network.
type SPV struct {
	Connect       []string `toml:"connect"`        // only these peers, no discovery
	AddPeers      []string `toml:"add_peers"`      // these besides those that are discovered
	Proxy         string   `toml:"proxy"`          // SOCKS5 HOST:PORT; empty: none
	HeadersImport []string `toml:"headers_import"` // none, or two files: block headers, filter headers; absolute
}

// Wallet configures the fee wallet.
type Wallet struct {
	PassphraseFile string `toml:"passphrase_file"` // absolute; empty: asked for, or a systemd credential
	Price          string `toml:"price"`           // of one bitcoin, "60000 EUR", a [money.Price]; empty: amounts are shown in satoshi alone
}

// Batch says when a batch is sealed.
type Batch struct {
	Interval   time.Duration `toml:"interval"`
	MaxDigests int           `toml:"max_digests"`
}

// Anchor says how ancred pays for batches.
type Anchor struct {
	Confirmations int32         `toml:"confirmations"`  // blocks, its own included, from which an anchor is final
	Target        time.Duration `toml:"target"`         // from a batch's sealing to the block that its anchor should be in
	MaxFeeRate    int64         `toml:"max_feerate"`    // sat/vB
	MaxFeeSats    int64         `toml:"max_fee"`        // for one anchor
	MonthlyBudget int64         `toml:"monthly_budget"` // satoshi that anchors pay within 30 days of blocks; 0: no such bound
}

// RPC configures JSON-RPC.
type RPC struct {
	Listen string   `toml:"listen"` // HOST:PORT
	Auth   []string `toml:"auth"`   // NAME:ROLES:SALT$HASH; only the shape is checked here, rpc reads them
	Hosts  []string `toml:"hosts"`  // names and addresses by which callers reach JSON-RPC and the metrics, beside loopback

	MaxDigests     int `toml:"max_digests"`      // new ones of all submit users in one batch.interval; 0: no limit
	MaxUserDigests int `toml:"max_user_digests"` // of each of them; 0: no limit
}

// Calendar configures the calendar, the public interface.
type Calendar struct {
	Listen         string   `toml:"listen"`          // HOST:PORT; empty: there is no calendar
	URI            string   `toml:"uri"`             // what pending proofs point to; unless it is set, where the calendar listens
	RateLimit      int      `toml:"rate_limit"`      // requests a second of one address; 0: no limit
	MaxDigests     int      `toml:"max_digests"`     // of all addresses in one batch.interval; 0: no limit
	TrustedProxies []string `toml:"trusted_proxies"` // addresses and networks (CIDR) whose X-Forwarded-For is believed
}

// Log configures the log, which goes to standard error.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn, error
	Format string `toml:"format"` // text, json
}

// Metrics configures the metrics for an operator's monitoring.
type Metrics struct {
	Listen string `toml:"listen"` // HOST:PORT; empty: nothing listens
	Pprof  bool   `toml:"pprof"`  // profiles too
}

// Notify configures who is told of warnings.
type Notify struct {
	Command []string `toml:"command"` // an absolute path and arguments, run without a shell; empty: nobody is told
}

// Backup configures what "ancre backup --rotate" does. The daemon does not use it.
type Backup struct {
	Keep int      `toml:"keep"` // how many backups of this daemon stay in the directory
	Copy []string `toml:"copy"` // a command that copies each backup elsewhere, with BackupFile in one of its arguments; empty: none
}

// BackupFile stands for the path of the new backup in [Backup.Copy].
const BackupFile = "{file}"

// FileName is the configuration file's name in the data directory.
const FileName = "ancre.conf"

// maxFileSize is far above any configuration. It keeps Load from reading a huge file by mistake.
const maxFileSize = 1 << 20

// Networks returns the names of the networks.
func Networks() []string { return []string{"mainnet", "testnet4", "signet", "regtest", "simnet"} }

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		DataDir: "~/.ancre",
		Network: "mainnet",
		Batch:   Batch{Interval: 6 * time.Hour, MaxDigests: 1 << 20},
		Anchor:  Anchor{Confirmations: 6, Target: 6 * time.Hour, MaxFeeRate: 100, MaxFeeSats: 50_000},
		// No budget: the wallet's balance limits spending already, and nobody expects a default
		// that stops anchoring.
		RPC: RPC{Listen: "127.0.0.1:14780", MaxDigests: 1 << 22, MaxUserDigests: 1 << 20},
		// The port that otsd uses.
		Calendar: Calendar{Listen: "127.0.0.1:14788", URI: "http://127.0.0.1:14788", RateLimit: 10, MaxDigests: 1 << 20},
		Log:      Log{Level: "info", Format: "text"},
		Backup:   Backup{Keep: 14},
	}
}

// Load returns the defaults, overridden by the file at path.
func Load(path string) (Config, error) {
	data, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	c := Default()
	if isServiceFile(path) {
		c.DataDir = ServiceDataDir
	}
	return c, c.parse(path, data)
}

// readConfig returns the content of a configuration file.
func readConfig(path string) ([]byte, error) {
	file, _, err := atomicfile.OpenInput(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", atomicfile.Denied(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("configuration: %s is larger than %d bytes: is it the right file?", path, maxFileSize)
	}
	return data, nil
}

// NetworkDir returns the absolute path of the network's own directory, DataDir/Network.
func (c Config) NetworkDir() (string, error) {
	dir, err := expand(c.DataDir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w: name one with --datadir", err)
	}
	return filepath.Abs(filepath.Join(dir, c.Network))
}

// RPCAddress returns the HOST:PORT at which a client on this machine reaches the daemon.
func (c Config) RPCAddress() string {
	host, port, err := net.SplitHostPort(c.RPC.Listen)
	if err != nil {
		return c.RPC.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on every interface
	}
	return net.JoinHostPort(host, port)
}

// expand replaces a leading ~ by the home directory.
func expand(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' && rest[0] != filepath.Separator {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%s: the home directory is not known (%w)", path, err)
	}
	return filepath.Join(home, rest), nil
}
