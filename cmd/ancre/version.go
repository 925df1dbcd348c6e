package main

import (
	"ancre/internal/version"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program. Behind the number stands the commit that it was built from, unless that is the release.
"ancre status" shows the version of the daemon.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(struct {
					Version string `json:"version"`
				}{version.Text()}, false)
			}
			a.say("ancre %s\n", version.Text())
			return nil
		},
	}
}
