package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Terraform's names of resources, and Pulumi's.
var resourceTokens = map[string]tokens.Type{
	"aws_budgets_budget":                                 "aws:budgets/budget:Budget",
	"aws_cloudwatch_event_rule":                          "aws:cloudwatch/eventRule:EventRule",
	"aws_cloudwatch_event_target":                        "aws:cloudwatch/eventTarget:EventTarget",
	"aws_cloudwatch_log_group":                           "aws:cloudwatch/logGroup:LogGroup",
	"aws_ec2_capacity_block_reservation":                 "aws:ec2/capacityBlockReservation:CapacityBlockReservation",
	"aws_ec2_capacity_reservation":                       "aws:ec2/capacityReservation:CapacityReservation",
	"aws_ec2_tag":                                        "aws:ec2/tag:Tag",
	"aws_eip":                                            "aws:ec2/eip:Eip",
	"aws_eks_access_entry":                               "aws:eks/accessEntry:AccessEntry",
	"aws_eks_access_policy_association":                  "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
	"aws_eks_addon":                                      "aws:eks/addon:Addon",
	"aws_eks_cluster":                                    "aws:eks/cluster:Cluster",
	"aws_eks_node_group":                                 "aws:eks/nodeGroup:NodeGroup",
	"aws_eks_pod_identity_association":                   "aws:eks/podIdentityAssociation:PodIdentityAssociation",
	"aws_iam_instance_profile":                           "aws:iam/instanceProfile:InstanceProfile",
	"aws_iam_openid_connect_provider":                    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
	"aws_iam_policy":                                     "aws:iam/policy:Policy",
	"aws_iam_role":                                       "aws:iam/role:Role",
	"aws_iam_role_policy":                                "aws:iam/rolePolicy:RolePolicy",
	"aws_iam_role_policy_attachment":                     "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
	"aws_internet_gateway":                               "aws:ec2/internetGateway:InternetGateway",
	"aws_kms_alias":                                      "aws:kms/alias:Alias",
	"aws_kms_key":                                        "aws:kms/key:Key",
	"aws_launch_template":                                "aws:ec2/launchTemplate:LaunchTemplate",
	"aws_nat_gateway":                                    "aws:ec2/natGateway:NatGateway",
	"aws_placement_group":                                "aws:ec2/placementGroup:PlacementGroup",
	"aws_route":                                          "aws:ec2/route:Route",
	"aws_route_table":                                    "aws:ec2/routeTable:RouteTable",
	"aws_route_table_association":                        "aws:ec2/routeTableAssociation:RouteTableAssociation",
	"aws_s3_bucket":                                      "aws:s3/bucket:Bucket",
	"aws_s3_bucket_lifecycle_configuration":              "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
	"aws_s3_bucket_policy":                               "aws:s3/bucketPolicy:BucketPolicy",
	"aws_s3_bucket_public_access_block":                  "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
	"aws_s3_bucket_server_side_encryption_configuration": "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
	"aws_s3_bucket_versioning":                           "aws:s3/bucketVersioning:BucketVersioning",
	"aws_security_group":                                 "aws:ec2/securityGroup:SecurityGroup",
	"aws_sqs_queue":                                      "aws:sqs/queue:Queue",
	"aws_sqs_queue_policy":                               "aws:sqs/queuePolicy:QueuePolicy",
	"aws_subnet":                                         "aws:ec2/subnet:Subnet",
	"aws_vpc":                                            "aws:ec2/vpc:Vpc",
	"aws_vpc_endpoint":                                   "aws:ec2/vpcEndpoint:VpcEndpoint",
	"aws_vpc_security_group_egress_rule":                 "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
	"aws_vpc_security_group_ingress_rule":                "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
}

// Terraform's names of data sources, and those of Pulumi's functions.
var functionTokens = map[string]tokens.ModuleMember{
	"aws_availability_zones":          "aws:index/getAvailabilityZones:getAvailabilityZones",
	"aws_caller_identity":             "aws:index/getCallerIdentity:getCallerIdentity",
	"aws_ec2_instance_type_offerings": "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings",
	"aws_eks_addon_version":           "aws:eks/getAddonVersion:getAddonVersion",
	"aws_eks_cluster":                 "aws:eks/getCluster:getCluster",
	"aws_eks_cluster_versions":        "aws:eks/getClusterVersions:getClusterVersions",
	"aws_iam_role":                    "aws:iam/getRole:getRole",
	"aws_partition":                   "aws:index/getPartition:getPartition",
	"aws_region":                      "aws:index/getRegion:getRegion",
	"aws_servicequotas_service_quota": "aws:servicequotas/getServiceQuota:getServiceQuota",
	"aws_ssm_parameter":               "aws:ssm/getParameter:getParameter",
	"aws_subnet":                      "aws:ec2/getSubnet:getSubnet",
	"aws_vpc":                         "aws:ec2/getVpc:getVpc",
	"aws_vpc_endpoint_service":        "aws:ec2/getVpcEndpointService:getVpcEndpointService",
}

// Properties that pulumi-aws names on its own: the bridge would name them otherwise.
func fields(name string) map[string]*tfbridge.SchemaInfo {
	switch name {
	case "aws_eks_cluster":
		return map[string]*tfbridge.SchemaInfo{
			"certificate_authority": {Name: "certificateAuthority", MaxItemsOne: tfbridge.True()},
		}
	case "aws_eks_node_group":
		return map[string]*tfbridge.SchemaInfo{
			"node_group_name": tfbridge.AutoName("nodeGroupName", longestName, "-"),
		}
	case "aws_s3_bucket":
		return map[string]*tfbridge.SchemaInfo{"bucket": tfbridge.AutoName("bucket", longestName, "-")}
	case "aws_security_group":
		return map[string]*tfbridge.SchemaInfo{"ingress": {Name: "ingress"}, "egress": {Name: "egress"}}
	default:
		return nil
	}
}

func resources() map[string]*tfbridge.ResourceInfo {
	found := map[string]*tfbridge.ResourceInfo{}
	for name, token := range resourceTokens {
		found[name] = &tfbridge.ResourceInfo{Tok: token, Fields: fields(name)}
	}
	return found
}

func functions() map[string]*tfbridge.DataSourceInfo {
	found := map[string]*tfbridge.DataSourceInfo{}
	for name, token := range functionTokens {
		found[name] = &tfbridge.DataSourceInfo{Tok: token}
	}
	return found
}
