// One multiplier, two multiply-accumulates a cycle: both weights of a pair ride in one 25-bit
// operand, weights = high * 2^16 + low, so that a DSP48E1 (25 x 18) forms both products with the
// same feature. Products of signed bytes stay within 16 bits, so they come apart exactly.
//
// `first` travels with the features and marks the first step of a tile. Where it passes, the
// finished sums of the tile before are captured for the drain chain.
module processing_element (
    input  wire               clock,
    input  wire signed [7:0]  feature_in,
    input  wire               first_in,
    input  wire signed [24:0] weights_in,
    input  wire               shift,
    input  wire        [31:0] chain_in,
    output reg  signed [7:0]  feature_out,
    output reg                first_out,
    output reg  signed [24:0] weights_out,
    output wire        [31:0] chain_out,
    output reg                capture
);
    reg signed [32:0] product;
    reg        [31:0] low_sum, high_sum;
    reg        [31:0] low_result, high_result;

    wire [31:0] low_product = {{16{product[15]}}, product[15:0]};
    // A negative low product has borrowed one from the high one.
    wire [31:0] high_product = {{15{product[32]}}, product[32:16]} + {31'd0, product[15]};

    assign chain_out = low_result;

    always @(posedge clock) begin
        feature_out <= feature_in;
        first_out   <= first_in;
        weights_out <= weights_in;
        product     <= feature_out * weights_out;
        capture     <= first_out;
        low_sum     <= (capture ? 32'd0 : low_sum) + low_product;
        high_sum    <= (capture ? 32'd0 : high_sum) + high_product;
        if (capture) begin
            low_result  <= low_sum;
            high_result <= high_sum;
        end else if (shift) begin
            low_result  <= high_result;
            high_result <= chain_in;
        end
    end
endmodule
