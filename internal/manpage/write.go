package manpage

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// Write writes pages into a directory.
func Write(dir string, pages ...Page) error {
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), p.Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteCompletions writes the completions of a program for bash, fish and zsh into a directory.
func WriteCompletions(dir string, root *cobra.Command) error {
	for name, write := range map[string]func(string) error{
		root.Name() + ".bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		root.Name() + ".fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
		"_" + root.Name():     root.GenZshCompletionFile,
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
