package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Load reads and checks a file. modules tells the module sections that exist. The error, if any, is an *Errors with every
// mistake, sorted by line.
func Load(path string, modules []Section) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, &Errors{File: path, List: []Mistake{{Text: err.Error()}}}
	}
	return Parse(path, data, modules)
}

// readFile reads a file of bounded size and says in plain words why it cannot.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a directory, not a file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, pathError(err)
	}
	return data, nil
}

// pathError takes the path out of an error: the message names it already.
func pathError(err error) error {
	var perr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("this user may not read it")
	case errors.As(err, &perr):
		return perr.Err
	}
	return err
}

// document is the whole file for the decoder.
type document struct {
	Config
	HostConfig []HostConfig `toml:"host_config"`
}

// Parse is Load for bytes; path is used in messages and for relative paths.
func Parse(path string, data []byte, modules []Section) (*Config, error) {
	errs := &Errors{File: path}
	if len(data) > maxFile {
		errs.add(Mistake{Text: fmt.Sprintf("is larger than %d bytes", maxFile)})
		return nil, errs
	}
	if len(data) >= 3 && string(data[:3]) == "\uFEFF" {
		data = data[3:]
	}
	root := parseTree(data, errs)

	doc := document{Config: *Default()}
	c := &doc.Config
	c.Path, c.Dir = path, filepath.Dir(path)
	if abs, err := filepath.Abs(path); err == nil {
		c.Dir = filepath.Dir(abs)
	}
	decodeDocument(root, &doc, errs)

	c.checkCore(root, errs)
	c.takeHosts(root, doc.HostConfig, modules, errs)
	c.checkS2S(root, doc.HostConfig, errs)
	c.checkModules(modules, errs)

	sortMistakes(errs.List)
	sortMistakes(c.Warnings)
	if errs.full() {
		last := errs.List[len(errs.List)-1].Line
		errs.List = append(errs.List, Mistake{Line: last, Text: "there are more mistakes than these"})
	}
	if len(errs.List) > 0 {
		return nil, errs
	}
	return c, nil
}

// Resolve makes a path of the file absolute: relative ones are relative to the file's directory.
func (c *Config) Resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}
