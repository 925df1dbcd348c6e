//go:build !linux

package itest

import (
	"context"
	"errors"
	"testing"
)

func mountSmallDisk(context.Context, *testing.T, string, int) error {
	return errors.New("a small disk to fill can only be mounted on Linux")
}
