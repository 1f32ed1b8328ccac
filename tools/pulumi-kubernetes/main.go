// Pulumi's own Kubernetes provider, without the schema that its release build generates and embeds. Programs never ask
// for the schema; only conversion, import and reading an object that was never declared use it.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

const version = "4.25.0"

func main() {
	nothing := []byte("{}")
	provider.Serve("kubernetes", version, nothing, nothing)
}
