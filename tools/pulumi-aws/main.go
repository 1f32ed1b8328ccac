// Terraform's AWS provider behind Pulumi's bridge, under the names of Pulumi's own AWS provider: its code is what plans,
// makes, reads, changes and deletes what a program declares. pulumi-resource-aws itself is not published as a module; what
// it adds to the two are names, which kinds.go gives for the kinds that our programs use.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"

	"github.com/hashicorp/terraform-provider-aws/xpprovider"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
)

// The release of pulumi-aws whose SDK the programs use.
const version = "7.51.1"

// AWS allows fewer characters for some names; ours are shorter than all of them.
const longestName = 255

func main() {
	ctx := context.Background()
	framework, sdk, err := xpprovider.GetProvider(ctx)
	check(err)
	info := tfbridge.ProviderInfo{
		P:            pfbridge.MuxShimWithPF(ctx, sdkv2.NewProvider(sdk), framework),
		Name:         "aws",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources:    resources(),
		DataSources:  functions(),
	}
	info.IgnoreMappings = append(
		left(info.P.ResourcesMap(), func(name string) bool { return info.Resources[name] != nil }),
		left(info.P.DataSourcesMap(), func(name string) bool { return info.DataSources[name] != nil })...,
	)
	info.SetAutonaming(longestName, "-")
	schema := describe(info)
	dispatch(ctx, &info)
	pfbridge.MainWithMuxer(ctx, "aws", info, schema)
}

// left names what is not mapped on purpose.
func left(kinds shim.ResourceMap, isMapped func(string) bool) []string {
	var names []string
	kinds.Range(func(name string, _ shim.Resource) bool {
		if !isMapped(name) {
			names = append(names, name)
		}
		return true
	})
	return names
}

// describe answers the schema by which the bridge translates; releases embed one.
func describe(info tfbridge.ProviderInfo) []byte {
	quiet := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	made, err := tfgen.GenerateSchemaWithOptions(
		tfgen.GenerateSchemaOptions{ProviderInfo: info, DiagnosticsSink: quiet, XInMemoryDocs: true},
	)
	check(err)
	schema, err := json.Marshal(made.PackageSpec)
	check(err)
	return schema
}

// dispatch says which kinds are written with which of Terraform's two libraries; releases embed this too.
func dispatch(ctx context.Context, info *tfbridge.ProviderInfo) {
	mixed, isMixed := info.P.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	})
	if !isMixed {
		log.Fatal("the bridge no longer mixes the two libraries as this program expects")
	}
	table, err := mixed.ResolveDispatch(info)
	check(err)
	check(metadata.Set(info.GetMetadata(), "mux", table))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
