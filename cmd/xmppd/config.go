package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
)

// configPath returns the configuration file to use: -config, $XMPPD_CONFIG, ./config.toml, /etc/xmppd/config.toml.
func (c *call) configPath() (string, error) {
	if c.config != "" {
		return c.config, nil
	}
	if p := os.Getenv("XMPPD_CONFIG"); p != "" {
		return p, nil
	}
	tried := []string{"config.toml", "/etc/xmppd/config.toml"}
	for _, p := range tried {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("no configuration: neither -config nor $XMPPD_CONFIG is given, and there is no %s; copy config.example.toml to config.toml to begin",
		strings.Join(tried, " and no "))
}

// loadConfig finds, reads and checks the configuration.
func (c *call) loadConfig() (*config.Config, error) {
	path, err := c.configPath()
	if err != nil {
		return nil, err
	}
	return config.Load(path, sections())
}

// sections lists the sections of all modules that this binary has.
func sections() []config.Section { return modules.Sections(all.Modules) }

func isConfigError(err error) bool {
	var e *config.Errors
	return errors.As(err, &e)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
