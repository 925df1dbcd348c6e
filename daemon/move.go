package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
)

// What a move adds to names.
const (
	movingSuffix = ".moving" // a copy that grows beside its place; the next move begins it again
	movedSuffix  = ".moved"  // the source, which no daemon opens any more
	emptySuffix  = ".empty-" // and the time: an unused target that was put aside
)

// MoveReport says what a move did.
type MoveReport struct {
	Network string        `json:"network"`
	From    string        `json:"from"`
	To      string        `json:"to"`
	Kept    string        `json:"kept"`            // the source, under the name that it has now
	Aside   string        `json:"aside,omitempty"` // an unused target, under the name that it has now
	Files   int           `json:"files"`           // copied by this call
	Bytes   int64         `json:"bytes"`
	Config  string        `json:"config,omitempty"` // the file that took over the settings
	Taken   []string      `json:"taken"`            // keys that it took over
	Left    []config.Left `json:"left"`             // keys that a person must decide about
}

// Move moves the data of a daemon, and its settings, to the directory and the configuration of
// another one, such as the service's. Neither daemon may run. From and the target are never both
// usable, because two daemons with the same coins would pay twice:
//
//  1. The data are copied to TARGET.moving, synced and compared.
//  2. The marker of the source says where its data are. From here on no daemon opens the source.
//  3. The configuration takes over the settings, an unused target is put aside, and TARGET.moving
//     becomes TARGET.
//  4. The source gets another name. Nothing of it is deleted.
//
// After a crash, the same call goes on: before step 2 from the beginning, after it with step 3. If
// root calls it, nothing else may go on in the process, see [datadir.AsOwner].
type Move struct {
	From     string        // a data directory, or that of one network
	Network  string        // which one, if From has several; empty: the only one
	Config   config.Config // of the daemon that gets the data
	Progress func(done, total int64)

	network  string
	from, to string
	root     *os.Root // the directory that to is in
	uid, gid int      // the owner of the target; -1: who runs this
	merged   config.Merged
	oldConf  string // empty: there is none
	report   MoveReport
	atStep   func(step string) // tests crash here
}

// Run moves the data.
func (m *Move) Run(ctx context.Context) (MoveReport, error) {
	done, err := m.locate()
	if err != nil {
		return m.report, err
	}
	if err := m.openTarget(); err != nil {
		return m.report, err
	}
	defer m.root.Close()
	if done {
		return m.report, m.putConfigAside()
	}
	if err := m.move(ctx); err != nil {
		return m.report, err
	}
	return m.report, errors.Join(m.putSourceAside(), m.putConfigAside())
}

// move does what needs the lock of the source.
func (m *Move) move(ctx context.Context) error {
	release, err := m.lockSource()
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	if err := m.mergeConfig(); err != nil {
		return err
	}
	var moved *datadir.MovedError
	_, err = datadir.NetworkOf(m.from)
	switch {
	case errors.As(err, &moved):
		err = m.goOn(moved)
	case err == nil:
		err = m.copyAndMark(ctx)
	}
	if err != nil {
		return err
	}
	return m.putInPlace(ctx)
}

func (m *Move) step(name string) {
	if m.atStep != nil {
		m.atStep(name)
	}
}

// locate finds the network's directory and where it goes. done: an earlier call has moved it.
func (m *Move) locate() (done bool, err error) {
	from, err := filepath.Abs(m.From)
	if err != nil {
		return false, err
	}
	if info, err := os.Lstat(from); err == nil && !info.IsDir() {
		return false, fmt.Errorf("%s is not a directory", from)
	}
	candidates := []string{from}
	for _, network := range config.Networks() {
		candidates = append(candidates, filepath.Join(from, network))
	}
	var found []string
	if m.Network != "" {
		candidates = []string{filepath.Join(from, m.Network)}
	}
	for _, dir := range candidates {
		if _, err := os.Lstat(filepath.Join(dir, datadir.Marker)); err == nil {
			found = append(found, dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, atomicfile.Denied(err)
		}
	}
	switch len(found) {
	case 1:
		m.from = found[0]
	case 0:
		if m.from, done = m.movedBefore(candidates); !done {
			return false, fmt.Errorf("%s is no data directory of ancred, and has none of a network in it: name one, such as /home/NAME/.ancre/mainnet", from)
		}
	default:
		return false, fmt.Errorf("%s has the data of several networks: name one with --network (%s)", from, strings.Join(found, ", "))
	}
	source := m.from
	if done {
		source += movedSuffix
	}
	m.network, err = datadir.NetworkOf(source)
	var moved *datadir.MovedError
	if err != nil && !errors.As(err, &moved) {
		return false, fmt.Errorf("%s: %w", filepath.Join(source, datadir.Marker), err)
	}
	c := m.Config
	c.Network = m.network
	if m.to, err = c.NetworkDir(); err != nil {
		return false, err
	}
	if m.to == m.from {
		return false, fmt.Errorf("%s is where its daemon has its data already: name another target with --datadir", m.from)
	}
	m.report = MoveReport{Network: m.network, From: m.from, To: m.to, Taken: []string{}, Left: []config.Left{}}
	if done {
		m.report.Kept = source
	}
	return done, nil
}

// movedBefore finds a source that an earlier call has given another name.
func (m *Move) movedBefore(candidates []string) (from string, ok bool) {
	for _, dir := range candidates {
		_, err := datadir.NetworkOf(dir + movedSuffix)
		var moved *datadir.MovedError
		if errors.As(err, &moved) {
			return dir, true
		}
	}
	return "", false
}

// openTarget opens the directory that the target is in, and finds its owner. It makes the service's
// if the service was never started.
func (m *Move) openTarget() (err error) {
	dir := filepath.Dir(m.to)
	m.uid, m.gid = -1, -1
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if os.Geteuid() == 0 && m.Config.IsService() {
			if m.uid, m.gid, err = serviceUser(); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if m.uid >= 0 {
			if err := os.Chown(dir, m.uid, m.gid); err != nil {
				return err
			}
		}
		info, err = os.Lstat(dir)
	}
	if err != nil {
		return atomicfile.Denied(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory: name another target with --datadir", dir)
	}
	if uid, known := atomicfile.OwnerOf(info); known {
		gid, _ := atomicfile.GroupOf(info)
		if os.Geteuid() == 0 {
			m.uid, m.gid = uid, gid
		} else if uid != os.Geteuid() {
			return fmt.Errorf("%s belongs to %s: run this as root (sudo ancred move …)", dir, atomicfile.UserName(uid))
		}
	}
	m.root, err = os.OpenRoot(dir)
	return err
}

// serviceUser returns the user of the service, who has the name of its group.
func serviceUser() (uid, gid int, err error) {
	u, err := user.Lookup(config.ServiceGroup)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: install the service first", err)
	}
	uid, err = strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(err, err2)
}

// lockSource keeps daemons out of the source.
func (m *Move) lockSource() (release func() error, err error) {
	err = datadir.AsOwner(m.from, func() error {
		release, err = datadir.LockDir(m.from)
		return err
	})
	if errors.Is(err, datadir.ErrInUse) {
		return nil, fmt.Errorf("an ancred is running in %s: stop it first, with \"ancre --datadir %s rpc stop\" as its user", m.from, filepath.Dir(m.from))
	}
	return release, err
}

// mergeConfig finds out what the configuration of the target takes over. It writes nothing yet.
func (m *Move) mergeConfig() error {
	old := filepath.Join(filepath.Dir(m.from), config.FileName)
	data, err := readOwned(old, m.from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		m.oldConf = old
	}
	m.report.Config = m.Config.File()
	if m.report.Config == "" {
		if m.oldConf != "" {
			why := "copy it to " + filepath.Join(filepath.Dir(m.to), config.FileName) + ", if its settings are to hold there"
			m.report.Left = append(m.report.Left, config.Left{Key: old, Why: why})
		}
		return nil
	}
	now, err := atomicfile.ReadInput(m.report.Config, 1<<20)
	if err != nil {
		return err
	}
	m.merged, err = config.Merge(m.report.Config, now, old, data, m.network)
	m.report.Left = append(m.report.Left, m.merged.Left...)
	return err
}

// readOwned reads a regular file that belongs to the owner of a directory.
func readOwned(path, dir string) ([]byte, error) {
	parent, name, err := atomicfile.OpenParent(path)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	f, info, err := parent.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	of, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	want, known := atomicfile.OwnerOf(of)
	if uid, _ := atomicfile.OwnerOf(info); known && uid != want && uid != 0 {
		return nil, fmt.Errorf("%s belongs to %s, not to %s", path, atomicfile.UserName(uid), atomicfile.UserName(want))
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// goOn checks that an earlier call left a whole copy.
func (m *Move) goOn(moved *datadir.MovedError) error {
	if moved.To != m.to {
		return fmt.Errorf("%w (not to %s)", moved, m.to)
	}
	if _, err := m.root.Lstat(m.moving()); err == nil {
		return nil
	}
	if network, err := datadir.NetworkOf(m.to); err == nil && network == m.network {
		return nil // in its place already
	}
	return fmt.Errorf("%w. But neither %s nor %s%s is there. If that copy was never used, have ancred open the source again: write {\"format\":1,\"network\":%q} into %s",
		moved, m.to, m.to, movingSuffix, m.network, filepath.Join(m.from, datadir.Marker))
}

func (m *Move) moving() string { return m.network + movingSuffix }

// copyAndMark makes the copy, and then closes the source to daemons.
func (m *Move) copyAndMark(ctx context.Context) error {
	release, err := m.claimTarget(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	if err := m.copy(ctx); err != nil {
		return errors.Join(err, m.root.RemoveAll(m.moving()))
	}
	m.step("copied")
	return datadir.AsOwner(m.from, func() error { return datadir.MarkMoved(m.from, m.network, m.to) })
}

// copy makes a whole copy beside the target.
func (m *Move) copy(ctx context.Context) error {
	from, err := atomicfile.OpenDir(m.from)
	if err != nil {
		return err
	}
	defer from.Close()
	owner := -1
	if info, err := from.Stat(); err != nil {
		return err
	} else if uid, known := atomicfile.OwnerOf(info); known {
		owner = uid
	}
	if err := m.root.RemoveAll(m.moving()); err != nil {
		return err
	}
	if err := m.root.Mkdir(m.moving(), 0o700); err != nil {
		return err
	}
	to, err := m.root.OpenRoot(m.moving())
	if err != nil {
		return err
	}
	defer to.Close()
	c := &datadir.Copy{From: from, To: to, FromUID: owner, UID: m.uid, GID: m.gid, Progress: m.Progress}
	if m.report.Files, m.report.Bytes, err = c.Survey(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.from, err)
	}
	if free, ok := diskspace.Free(m.root.Name()); ok && free < uint64(m.report.Bytes)+pebblestore.DefaultReserve {
		return fmt.Errorf("the copy takes %s, and %s are free under %s: free some space, and try again", humanize.Bytes(m.report.Bytes), humanize.Bytes(int64(free)), m.root.Name())
	}
	m.step("copying")
	return c.Run(ctx)
}

// claimTarget keeps daemons out of the target, if it is there. A target that holds anything is an
// error.
func (m *Move) claimTarget(ctx context.Context) (release func() error, err error) {
	if dir := m.runsIn(filepath.Dir(m.to)); dir != "" {
		return nil, fmt.Errorf("an ancred is running in %s: stop it first, with \"sudo systemctl stop %s\" if it is the service", dir, config.ServiceUnit)
	}
	info, err := m.root.Lstat(m.network)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory: move it away first", m.to)
	}
	if err != nil {
		return nil, err
	}
	const remedy = "Move that directory away first, if it is not needed"
	err = datadir.AsOwner(m.to, func() error {
		if release, err = datadir.Open(m.to, m.network); err != nil {
			return err
		}
		leaves, used, err := storeContents(ctx, filepath.Join(m.to, datadir.Store))
		if wallets, _ := filepath.Glob(filepath.Join(m.to, datadir.Wallet, "*.db")); err == nil && len(wallets) > 0 {
			err = fmt.Errorf("there already is a wallet in %s. %s, and only if no coins were sent to it", m.to, remedy)
		}
		if err == nil && used {
			err = fmt.Errorf("there already is a store with %s in %s. %s", humanize.Plural(leaves, "digest", "digests"), m.to, remedy)
		}
		if err != nil {
			err = errors.Join(err, release())
		}
		return err
	})
	return release, err
}

// runsIn returns the directory of a network in which a daemon runs; empty: none does. The service
// may run on another network than that of the data, and its configuration is about to change.
func (m *Move) runsIn(dir string) string {
	for _, network := range config.Networks() {
		path := filepath.Join(dir, network)
		var state datadir.State
		err := datadir.AsOwner(dir, func() (err error) { state, err = datadir.Inspect(path, network); return err })
		if err == nil && state == datadir.Used {
			return path
		}
	}
	return ""
}

// putInPlace gives the copy its name, after the configuration took over the settings: the caps on
// fees count from the first start on.
func (m *Move) putInPlace(ctx context.Context) error {
	if _, err := m.root.Lstat(m.moving()); errors.Is(err, fs.ErrNotExist) {
		return nil // an earlier call did it
	}
	m.step("marked")
	if err := m.writeConfig(); err != nil {
		return err
	}
	m.step("configured")
	release, err := m.claimTarget(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	if _, err := m.root.Lstat(m.network); err == nil {
		aside := freeName(m.network+emptySuffix+time.Now().UTC().Format("20060102T150405"), m.root.Lstat)
		if err := m.root.Rename(m.network, aside); err != nil {
			return err
		}
		m.report.Aside = filepath.Join(m.root.Name(), aside)
	}
	m.step("put aside")
	if m.uid >= 0 {
		if err := m.root.Lchown(m.moving(), m.uid, m.gid); err != nil {
			return err
		}
	}
	if err := m.root.Rename(m.moving(), m.network); err != nil {
		return fmt.Errorf("%w: if the service was started meanwhile, stop it and run this again", err)
	}
	m.step("in place")
	return atomicfile.SyncDir(m.root.Name())
}

func (m *Move) writeConfig() error {
	if len(m.merged.Taken) == 0 {
		return nil
	}
	dir, name, err := atomicfile.OpenParent(m.report.Config)
	if err != nil {
		return err
	}
	defer dir.Close()
	was, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	if err := dir.Replace(name, was, m.merged.Text); err != nil {
		return fmt.Errorf("write %s: %w", m.report.Config, err)
	}
	m.report.Taken = m.merged.Taken
	return dir.Sync()
}

// putSourceAside gives the source another name, so that nobody mistakes it for a daemon's.
func (m *Move) putSourceAside() error {
	m.report.Kept = freeName(m.from+movedSuffix, os.Lstat)
	return renameAsOwner(m.from, m.report.Kept)
}

// freeName returns a name, with a number if it is taken.
func freeName(name string, lstat func(string) (fs.FileInfo, error)) string {
	free := name
	for i := 2; ; i++ {
		if _, err := lstat(free); err != nil {
			return free
		}
		free = name + "-" + strconv.Itoa(i)
	}
}

// putConfigAside does the same with the old configuration, if no daemon of another network needs
// it. Otherwise its user's ancre would go on to look for a daemon of his own.
func (m *Move) putConfigAside() error {
	dir := filepath.Dir(m.from)
	old := filepath.Join(dir, config.FileName)
	if _, err := os.Lstat(old); err != nil || m.report.Config == "" || config.HasDaemon(dir) {
		return nil
	}
	return renameAsOwner(old, freeName(old+movedSuffix, os.Lstat))
}

func renameAsOwner(from, to string) error {
	dir := filepath.Dir(from)
	return datadir.AsOwner(dir, func() error { return errors.Join(os.Rename(from, to), atomicfile.SyncDir(dir)) })
}
