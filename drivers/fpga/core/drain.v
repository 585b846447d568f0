// Takes the 16 channels of a captured tile off the array, one a time, as fast as they can leave.
module drain (
    input  wire       clock,
    input  wire       reset,
    input  wire       begins,          // a capture is under way
    input  wire       has_results,     // of a tile, not of what was left from before
    input  wire [1:0] channel_tile,
    input  wire       captured,
    input  wire       almost_full,
    input  wire       wide,
    output wire       take,            // the channel at the head leaves, the next moves up
    output reg  [3:0] channel,
    output reg  [1:0] tile,
    output wire       drained
);
    reg       expected, wanted, running;
    reg [2:0] pause;

    assign take    = running && pause == 3'd0 && !almost_full;
    assign drained = (take && channel == 4'd15) || (expected && captured && !wanted);

    always @(posedge clock) begin
        if (reset) {expected, wanted, running, pause} <= 6'd0;
        else begin
            if (begins) begin
                expected <= 1'b1;
                wanted   <= has_results;
                tile     <= channel_tile;
            end else if (expected && captured) begin
                expected <= 1'b0;
                running  <= wanted;
                channel  <= 4'd0;
            end
            if (take) begin
                channel <= channel + 4'd1;
                pause   <= wide ? 3'd7 : 3'd1;
            end else if (pause != 3'd0) pause <= pause - 3'd1;
            if (take && channel == 4'd15) running <= 1'b0;
        end
    end
endmodule
