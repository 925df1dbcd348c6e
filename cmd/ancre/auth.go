package main

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"ancre/config"
	"ancre/internal/command"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) authCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "auth NAME ROLES",
		Short: "Create a user and a password for the daemon's JSON-RPC",
		Long: `Create a random password, and the line with which NAME can call the daemon's JSON-RPC. The whole entry "auth" for ancre.conf is
printed, with the users that the configuration already has. The line does not hold the password, which is shown only now.

ROLES is one role or several, separated by commas: submit (submit digests, read their states and proofs, verify), verify (verify
proofs, read block headers), read (read everything, change nothing) or admin (everything).`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name a user and one or more of the roles submit, verify, read, admin: NAME submit,read")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			roles, err := rpc.ParseRoles(args[1])
			if err != nil {
				return command.Exit(exitUsage, err)
			}
			line, password, err := rpc.NewUser(args[0], roles...)
			if err != nil {
				return command.Exit(exitUsage, err)
			}
			cfg, err := a.configuration()
			if err != nil {
				return err
			}
			auth, replaced := withUser(cfg.RPC.Auth, args[0], line)
			if a.json {
				return a.printJSON(struct {
					Line     string   `json:"line"`
					Password string   `json:"password"`
					Auth     []string `json:"auth"`
				}{line, password, auth}, false)
			}
			where := "Into " + cmp.Or(cfg.File(), config.FileName) + ", under [rpc]"
			switch {
			case replaced:
				where += ", in place of the entry auth. " + args[0] + " gets a new password and the old one ends"
			case len(auth) > 1:
				where += ", in place of the entry auth"
			}
			where += ":"
			a.say("%s\n\n", where)
			if len(auth) == 1 {
				a.say("  auth = [%s]\n", strconv.Quote(line))
			} else {
				a.say("  auth = [\n")
				for _, user := range auth {
					a.say("    %s,\n", strconv.Quote(user))
				}
				a.say("  ]\n")
			}
			a.say("\nThe password of %s, shown only now:\n\n  %s\n\n", args[0], password)
			restart := "restart the daemon"
			if cfg.OnServiceMachine() {
				restart = "run \"sudo systemctl restart " + config.ServiceUnit + "\""
			}
			a.note("Then "+restart+". Elsewhere: %s=… ancre --rpc http://HOST:PORT --rpc-user %s …", passwordVariable, args[0])
			return nil
		},
	}
}

// withUser returns the lines of the configuration with the line of the user name: in place of the
// one that the user had, or at the end.
func withUser(lines []string, name, line string) (all []string, replaced bool) {
	all = slices.Clone(lines)
	if i := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, name+":") }); i >= 0 {
		all[i] = line
		return all, true
	}
	return append(all, line), false
}
