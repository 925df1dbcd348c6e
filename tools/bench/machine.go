package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine describes in one line the machine of the figures. It describes the disk by its speed.
func machine(dir string) (string, error) {
	parts := []string{fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	if model := procField("/proc/cpuinfo", "model name"); model != "" {
		parts[0] += " (" + model + ")"
	}
	if kib, err := strconv.ParseUint(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		parts = append(parts, fmt.Sprintf("%d GiB memory", (kib+1<<19)>>20))
	}
	parts = append(parts, runtime.Version())
	n, err := syncsPerSecond(dir)
	if err != nil {
		return "", fmt.Errorf("syncing a file in %s: %w", filepath.Dir(dir), err)
	}
	parts = append(parts, fmt.Sprintf("%.0f appends of 4 KiB with sync a second", n))
	return strings.Join(parts, ", "), nil
}

// procField finds "name: value" in a file of Linux's /proc. It returns "" on other systems.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func syncsPerSecond(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	start, n := time.Now(), 0
	for time.Since(start) < 300*time.Millisecond {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := syncData(f); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// memoryOf returns the memory that a process holds (VmRSS), or the most that it held since
// resetPeak (VmHWM), in bytes. It returns 0 on systems that do not show it.
func memoryOf(pid int, what string) (uint64, error) {
	field := procField(fmt.Sprintf("/proc/%d/status", pid), what)
	if field == "" {
		return 0, nil
	}
	kib, err := strconv.ParseUint(strings.TrimSuffix(field, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s of process %d is %q", what, pid, field)
	}
	return kib << 10, nil
}

// cpuTime returns the processor time of a process, or 0 on systems that do not show it.
func cpuTime(pid int) time.Duration {
	const tick = time.Second / 100 // USER_HZ, the same on every Linux since 2.6 (proc(5))
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name may hold spaces
	const utime, stime = 14 - 3, 15 - 3          // fields of proc(5), counted from the state, the third
	fields := strings.Fields(rest)
	if len(fields) <= stime {
		return 0
	}
	var sum time.Duration
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// idleMemory returns the most memory that a process holds while it is idle, after some seconds in
// which it becomes so.
func idleMemory(ctx context.Context, pid int, short bool) (most uint64, err error) {
	settle, seconds := 10, 20
	if short {
		settle, seconds = 0, 2
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := range seconds {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		now, err := memoryOf(pid, "VmRSS")
		if err != nil {
			return 0, err
		}
		if second >= settle {
			most = max(most, now)
		}
	}
	return most, nil
}
