#include "properties/mutations/mutation.h"

namespace crosscheck {
namespace {

// New ways come after all others, so that old case bytes keep their meaning.
constexpr std::string_view kValueWays[] = {
    "removed", "null",     "0",       "1",          "2",          "3",
    "-1",      "-1.5",     "0.5",     "1e300",      "2147483648", "9223372036854775808",
    "true",    "false",    "text",    "empty_text", "[]",         "{}",
    "as_text", "as_float", "as_list", "plus_1",     "twice",      "moved_to_top"};
constexpr std::string_view kConfigFormWays[] = {"flat",
                                                "text_config_null",
                                                "text_config_list",
                                                "text_config_missing",
                                                "unknown_key",
                                                "unknown_key_on_top",
                                                "unknown_deep_key",
                                                "model_type_missing",
                                                "model_type_other",
                                                "text_model_type_other",
                                                "rope_scaling",
                                                "quantization_config",
                                                "other_architecture",
                                                "vision_config",
                                                "other_activation"};
constexpr std::string_view kTextWays[] = {"empty",           "half",        "no_last_byte",
                                          "byte_after",      "space_after", "space_before",
                                          "byte_order_mark", "not_utf8",    "nul_after",
                                          "nul_and_more",    "deep_40",     "deep_200",
                                          "deep_100000",     "list_around", "second_document",
                                          "single_quotes",   "key_not_utf8"};
constexpr std::string_view kTensorWays[] = {"missing",     "one_row_more", "one_row_less",
                                            "transposed",  "flat",         "unit_axis",
                                            "no_elements", "renamed",      "other_layer"};
constexpr std::string_view kTensorDTypeWays[] = {
    "F32", "BF16", "F16", "F64", "as_I32", "as_F16", "as_BF16", "as_F32", "I64", "as_I64", "as_U8"};
constexpr std::string_view kTensorValueWays[] = {"nan",     "infinity",  "minus_infinity",
                                                 "largest", "subnormal", "minus_zero"};
constexpr std::string_view kExtraTensorWays[] = {"unknown",   "mtp",        "visual",
                                                 "no_prefix", "I64",        "BOOL",
                                                 "F8_E4M3",   "next_layer", "head_of_a_tied_model"};
constexpr std::string_view kOrderWays[] = {"header_reversed", "data_reversed", "flat_prefix",
                                           "no_prefix"};
constexpr std::string_view kHeaderEntryWays[] = {"twice",
                                                 "twice_differing",
                                                 "dtype_missing",
                                                 "shape_missing",
                                                 "offsets_missing",
                                                 "dtype_number",
                                                 "dtype_lower_case",
                                                 "dtype_unknown",
                                                 "shape_text",
                                                 "shape_negative",
                                                 "shape_float",
                                                 "shape_huge",
                                                 "shape_overflow",
                                                 "unknown_key",
                                                 "deep_key_40",
                                                 "deep_key_200",
                                                 "null",
                                                 "as_list",
                                                 "dtype_twice",
                                                 "empty_name"};
constexpr std::string_view kOffsetsWays[] = {
    "shifted", "gap", "overlap", "reversed", "beyond",        "huge",         "negative",
    "three",   "one", "text",    "float",    "same_as_first", "one_byte_less"};
constexpr std::string_view kMetadataWays[] = {"strings", "null", "number_in_it", "object_in_it",
                                              "list",    "text", "twice",        "empty"};
constexpr std::string_view kHeaderLengthWays[] = {"plus_1", "minus_1",   "zero", "file_size",
                                                  "2^31",   "100000001", "2^63", "2^64-1"};
constexpr std::string_view kFileBytesWays[] = {
    "without_last_byte", "half", "seven_bytes", "empty", "byte_after", "page_after"};
constexpr std::string_view kShardsWays[] = {"2", "3", "5"};
constexpr std::string_view kIndexWays[] = {
    "total_wrong",     "total_text",      "metadata_missing",
    "file_missing",    "wrong_shard",     "entry_missing",
    "entry_extra",     "path_up",         "path_absolute",
    "path_in_folder",  "path_dot",        "file_number",
    "map_missing",     "map_list",        "tensor_in_two_shards",
    "single_file_too", "shard_not_in_map"};
constexpr std::string_view kTokenizerWays[] = {
    "missing",    "empty_object", "model_missing", "type_unknown",  "vocab_short",
    "vocab_list", "ids_twice",    "id_beyond",     "merge_unknown", "unknown_key"};
constexpr std::string_view kFileWays[] = {
    "missing",  "mode_000", "mode_400",        "mode_600",       "mode_666",
    "mode_755", "linked",   "link_to_nothing", "link_to_itself", "a_folder"};

constexpr std::string_view kKeys[] = {"/text_config/hidden_size",
                                      "/text_config/vocab_size",
                                      "/text_config/intermediate_size",
                                      "/text_config/num_hidden_layers",
                                      "/text_config/layer_types",
                                      "/text_config/num_attention_heads",
                                      "/text_config/num_key_value_heads",
                                      "/text_config/head_dim",
                                      "/text_config/hidden_act",
                                      "/text_config/rms_norm_eps",
                                      "/text_config/attention_bias",
                                      "/text_config/attn_output_gate",
                                      "/text_config/rope_theta",
                                      "/text_config/partial_rotary_factor",
                                      "/text_config/rope_parameters",
                                      "/text_config/rope_parameters/rope_theta",
                                      "/text_config/rope_parameters/partial_rotary_factor",
                                      "/text_config/rope_parameters/rope_type",
                                      "/text_config/linear_num_key_heads",
                                      "/text_config/linear_num_value_heads",
                                      "/text_config/linear_key_head_dim",
                                      "/text_config/linear_value_head_dim",
                                      "/text_config/linear_conv_kernel_dim",
                                      "/text_config/max_position_embeddings",
                                      "/text_config/tie_word_embeddings",
                                      "/text_config/initializer_range",
                                      "/text_config/bos_token_id",
                                      "/text_config/eos_token_id",
                                      "/text_config/num_experts",
                                      "/text_config/full_attention_interval",
                                      "/text_config/model_type",
                                      "/tie_word_embeddings",
                                      "/model_type",
                                      "/architectures",
                                      "/dtype",
                                      "*/rope_theta",
                                      "*/partial_rotary_factor",
                                      "*/tie_word_embeddings"};

}  // namespace

absl::Span<const std::string_view> ConfigKeys() { return kKeys; }

absl::Span<const std::string_view> WaysOf(MutationKind kind) {
  switch (kind) {
    case MutationKind::kConfigValue:
      return kValueWays;
    case MutationKind::kConfigForm:
      return kConfigFormWays;
    case MutationKind::kConfigText:
    case MutationKind::kHeaderText:
    case MutationKind::kIndexText:
    case MutationKind::kTokenizerText:
      return kTextWays;
    case MutationKind::kTensor:
      return kTensorWays;
    case MutationKind::kTensorDType:
      return kTensorDTypeWays;
    case MutationKind::kTensorValue:
      return kTensorValueWays;
    case MutationKind::kExtraTensor:
      return kExtraTensorWays;
    case MutationKind::kOrder:
      return kOrderWays;
    case MutationKind::kHeaderEntry:
      return kHeaderEntryWays;
    case MutationKind::kOffsets:
      return kOffsetsWays;
    case MutationKind::kMetadata:
      return kMetadataWays;
    case MutationKind::kHeaderLength:
      return kHeaderLengthWays;
    case MutationKind::kFileBytes:
      return kFileBytesWays;
    case MutationKind::kShards:
      return kShardsWays;
    case MutationKind::kIndex:
      return kIndexWays;
    case MutationKind::kTokenizer:
      return kTokenizerWays;
    case MutationKind::kFile:
      return kFileWays;
  }
  return kShardsWays;
}

}  // namespace crosscheck
