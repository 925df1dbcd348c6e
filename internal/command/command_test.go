package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// program is a small program: its verb "do" runs what the test wants.
func program(do func(*cobra.Command, Streams) error) func(Streams) Program {
	return func(s Streams) Program {
		asJSON := false
		root := &cobra.Command{
			Use: "small", SilenceUsage: true, SilenceErrors: true, Args: cobra.ArbitraryArgs, RunE: NeedVerb,
			PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		}
		root.PersistentFlags().BoolVar(&asJSON, "json", false, "")
		root.AddCommand(&cobra.Command{Use: "do", RunE: func(cmd *cobra.Command, _ []string) error { return do(cmd, s) }})
		return Program{
			Root: root, JSON: &asJSON,
			Ended: func(_ *cobra.Command, err error) error { return err },
			Code: func(err error) any {
				if errors.Is(err, io.ErrNoProgress) {
					return "stuck"
				}
				return nil
			},
		}
	}
}

func TestACallEndsWithAStatusAndAReason(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		result error
		status int
		says   string
	}{
		"done":                       {[]string{"do"}, nil, Done, ""},
		"failed":                     {[]string{"do"}, errors.New("no luck"), Failed, "small: no luck\n"},
		"a status of its own":        {[]string{"do"}, Exit(Pending, errors.New("not yet")), Pending, "small: not yet\n"},
		"all was said":               {[]string{"do"}, Finish(Pending), Pending, ""},
		"wrong usage of a verb":      {[]string{"do"}, Usagef("name %d files", 2), Usage, "small: name 2 files\nTry \"small help\" or \"small VERB --help\".\n"},
		"no verb":                    {nil, nil, Usage, "small: what to do? small takes one of: "},
		"no such verb":               {[]string{"dance"}, nil, Usage, `small: unknown verb "dance": small takes one of: `},
		"no such flag":               {[]string{"do", "--dance"}, nil, Usage, "small: unknown flag: --dance\n"},
		"an error from a stranger":   {[]string{"do"}, errors.New("a\x1b[31m\nsmall: done"), Failed, "small: a\\x1b[31m; small: done\n"},
		"as JSON":                    {[]string{"do", "--json"}, errors.New("no luck"), Failed, `{"error":"no luck","exit":1}` + "\n"},
		"a refusal as JSON":          {[]string{"do", "--json"}, io.ErrNoProgress, Failed, `"code":"stuck","exit":1}`},
		"a wrong flag, as JSON":      {[]string{"do", "--json", "--dance"}, nil, Usage, `{"error":"unknown flag: --dance","exit":2}`},
		"a wrong flag before a name": {[]string{"do", "--dance", "--", "--json"}, nil, Usage, "small: unknown flag: --dance\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			got := Run(t.Context(), tt.args, Streams{strings.NewReader(""), io.Discard, &said}, program(func(*cobra.Command, Streams) error { return tt.result }))
			if got != tt.status || !strings.Contains(said.String(), tt.says) || tt.says == "" && said.Len() > 0 {
				t.Errorf("status %d, want %d; it says %q, want %q", got, tt.status, said.String(), tt.says)
			}
			if strings.HasPrefix(tt.says, "{") && !json.Valid(said.Bytes()) {
				t.Errorf("not JSON: %q", said.String())
			}
		})
	}
}

// broken is a stream of which each write fails.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestALostResultIsAFailure(t *testing.T) {
	full := broken{syscall.ENOSPC}
	result := program(func(_ *cobra.Command, s Streams) error {
		_, _ = io.WriteString(s.Out, "result\n")
		_, _ = io.WriteString(s.Err, "a remark\n")
		return nil
	})
	var said bytes.Buffer
	if got := Run(t.Context(), []string{"do"}, Streams{strings.NewReader(""), full, &said}, result); got != Failed || !strings.Contains(said.String(), "some results are missing") {
		t.Errorf("a lost result: status %d, it says %q", got, said.String())
	}
	if got := Run(t.Context(), []string{"do"}, Streams{strings.NewReader(""), io.Discard, full}, result); got != Failed {
		t.Errorf("a lost remark: status %d", got)
	}
}

// A command that has a million results for "head" must end when head has, without a word.
func TestACommandEndsWithItsReader(t *testing.T) {
	var said bytes.Buffer
	got := Run(t.Context(), []string{"do"}, Streams{strings.NewReader(""), broken{syscall.EPIPE}, &said}, program(func(cmd *cobra.Command, s Streams) error {
		_, _ = io.WriteString(s.Out, "result\n")
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(time.Minute):
			return errors.New("it goes on")
		}
	}))
	if got != Failed || said.Len() > 0 {
		t.Errorf("status %d, it says %q", got, said.String())
	}
}

func TestAnInterruptIsNamed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var said bytes.Buffer
	got := Run(ctx, []string{"do"}, Streams{strings.NewReader(""), io.Discard, &said}, program(func(cmd *cobra.Command, _ Streams) error { return cmd.Context().Err() }))
	if got != Failed || said.String() != "small: interrupted\n" {
		t.Errorf("status %d, it says %q", got, said.String())
	}
}
