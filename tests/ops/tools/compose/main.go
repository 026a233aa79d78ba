// SPDX-License-Identifier: Apache-2.0

// Compose-config reads a compose file as `docker compose config` does, with the parser of Docker
// Compose itself, and prints what it understood: variables filled in, short forms written out.
package main

import (
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithConsistency(true),
		cli.WithResolvedPaths(true))
	if err == nil {
		project, failure := cli.ProjectFromOptions(options)
		if err = failure; err == nil {
			var text []byte
			if text, err = project.MarshalYAML(); err == nil {
				os.Stdout.Write(text)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compose-config:", err)
		os.Exit(1)
	}
}
