package main

import "github.com/spf13/cobra"

func (a *app) restoreCommand() *cobra.Command { return &cobra.Command{Use: "restore", Hidden: true} }
