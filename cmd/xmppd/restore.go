package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/bolt"
)

var restoreCommand = &command{
	name: "restore", args: "FILE",
	summary: "make a data directory from a backup",
	help: `Makes the data directory of the configuration from a backup. All of the backup is read and checked first. The directory must be
missing or empty, and no server may run there: nothing is ever restored over what is there. Run it as the server's own
user. Certificates that the server had made itself are made anew.

example: xmppd restore /var/backups/xmppd.tar`,
	run: runRestore,
}

func runRestore(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return usageError("restore takes one file")
	}
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	if cfg.Storage.Driver != "bolt" {
		return fmt.Errorf("storage.driver = %q keeps nothing in files: there is nowhere to restore to", cfg.Storage.Driver)
	}
	dir := cfg.Resolve(cfg.General.DataDir)
	err = withSnapshot(ctx, c.args[0], func(s *snapshot) error {
		if err := vacant(ctx, dir); err != nil {
			return err
		}
		return s.restore(ctx, cfg, dir, slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	})
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, map[string]any{"restored": dir})
	}
	fmt.Fprintf(c.stdout, "restored %s; start the server now\n", dir)
	return nil
}

// vacant makes sure that a data directory is missing or empty, but for the lock of a server that was there.
func vacant(ctx context.Context, dir string) error {
	if conn, err := dialSocket(ctx, dir); err == nil {
		conn.Close()
		return fmt.Errorf("a server runs with the data directory %s: nothing is restored over it", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != databaseName+".lock" {
			return fmt.Errorf("the data directory %s is not empty, there is %s: move it away, nothing is restored over it", dir, e.Name())
		}
	}
	return nil
}

// restore writes the files. The database gets its name last, after it was opened with the keyring as a server would, and what
// fails leaves none of them.
func (s *snapshot) restore(ctx context.Context, cfg *config.Config, dir string, log *slog.Logger) error {
	if err := storage.CheckDir(dir); err != nil {
		return err
	}
	key, written := filepath.Join(dir, keyringName), false
	err := bolt.Restore(ctx, filepath.Join(dir, databaseName), s.database, func(tmp string) error {
		if err := free(key); err != nil {
			return err
		}
		written = true
		if err := storage.WriteSecretFile(key, s.keyring); err != nil {
			return err
		}
		keys, err := auth.OpenKeyring(key)
		if err != nil {
			return err
		}
		st, err := bolt.Open(tmp, bolt.Options{Log: log, CheckBudget: -1}) // it was checked a moment ago
		if err != nil {
			return err
		}
		return errors.Join(auth.NewAccounts(st, authOptions(cfg, keys, log)).Verify(ctx, cfg.General.Hosts...), st.Close())
	})
	if err != nil && written {
		os.Remove(key)
	}
	return err
}
